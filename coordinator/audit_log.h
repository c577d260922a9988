#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "fedmeta/coordinator/attempt_record.h"
#include "fedmeta/coordinator/charged_attempt.h"
#include "fedmeta/coordinator/round_engine.h"
#include "fedmeta/coordinator/round_store.h"
#include "fedmeta/coordinator/round_writer.h"
#include "fedmeta/coordinator/told_charges.h"
#include "fedmeta/core/clock.h"
#include "fedmeta/core/digest.h"
#include "fedmeta/core/ids.h"
#include "fedmeta/core/result.h"
#include "fedmeta/identity/identity_source.h"
#include "fedmeta/protocol/round_plan.h"
#include "fedmeta/v1/audit.pb.h"

namespace fedmeta {

/// A coordinator's record that cannot be quietly rewritten: an append-only hash chain
/// (protocol/audit_chain.h) of what was done, whose head is signed after each commit and
/// countersigned by the clients, each of which makes sure that it extends the last head it has
/// countersigned. What it holds names clients, never their figures. Thread-safe.
class AuditLog {
 public:
  struct Options {
    std::filesystem::path file;
    std::uint64_t epoch = 1;  ///< of this coordinator
  };
  /// Makes the file, or goes on with it: a torn last line is cut off, any other damage refuses it
  /// (kDataLoss names the entry). `identity` signs; borrowed, as the clock.
  static Result<std::unique_ptr<AuditLog>> Open(Options options, const IdentitySource& identity,
                                                const Clock& clock);

  /// What the process runs.
  struct Run {
    std::string experiment;
    Digest offer;          ///< its hash
    std::string visible;   ///< of updates, for people: "individual updates visible"
    bool secure = false;   ///< sums are opened by sessions
    bool charges = false;  ///< training rounds are charged to a privacy account
  };
  Status Started(const Run& run, bool resumed);
  /// What the store has and the record has not, because the process ended between the two, or since
  /// the backup was made in this order: charges, the session that is opened next, committed rounds.
  Status Reconcile(const OpenedRun& run, const std::vector<PrivacyCharge>& charges);
  Status AttemptBegan(const RoundPlan& plan, std::uint32_t cohort);
  /// A session's members are about to be asked to open it, at this cost. On disk when it returns.
  Status Opening(const RoundPlan& plan, const SessionCharge& charge,
                 const std::optional<PrivacyCost>& cost);
  /// And signs the head that follows. On disk when it returns, before any client hears of it.
  /// `cost`: of a release that is none of sessions.
  Status AttemptEnded(const AttemptRecord& record, const Digest& plan_hash,
                      const std::optional<PrivacyCost>& cost = {});
  /// A client takes part, or does not, by this rule.
  Status Stood(const ClientId& client, const std::string& rule);
  /// What a site was charged for before this coordinator was restored: how many of these releases
  /// neither the record has nor another site has told. On disk when it returns. Always none in
  /// epoch 1.
  Result<std::uint64_t> Told(const ClientId& client, const std::vector<ToldCharge>& charges);
  /// All that was told of an experiment, by now.
  std::uint64_t ToldReleases(const std::string& experiment);
  /// Somebody was refused at the door, or for good. Whoever calls again and again adds an entry at
  /// the first, tenth, hundredth ... time; of more than kMaximumTurnedAway different ones only the
  /// number is kept.
  Status TurnedAway(const std::string& who_and_why);
  static constexpr std::size_t kMaximumTurnedAway = 256;
  /// `present`: who is asked to countersign the head that follows.
  Status Ended(const std::string& status, const std::vector<ClientId>& present);
  /// Of `clients`, those who have not countersigned the last signed head.
  std::vector<ClientId> Uncountersigned(const std::vector<ClientId>& clients);

  /// What the client has to countersign: empty when it has seen the last signed head.
  std::string HeadFor(const ClientId& client);
  /// From ClientHello: where the client stands. What it says is no proof of anything.
  void Seen(const ClientId& client, const std::string& place);
  /// kPermissionDenied for a signature that is none; kInvalidArgument for a head that was not given
  /// to it.
  Status Countersigned(const ClientId& client, const std::string& countersignature);

 private:
  struct Head {
    std::string place, signature, certificates_pem;
    std::uint64_t index = 0;
  };
  AuditLog(Options options, const IdentitySource& identity, const Clock& clock)
      : options_(std::move(options)), identity_(identity), clock_(clock) {}
  Status Load();
  Status Append(const std::string& kind, const std::string& fields_json, bool durable);
  Status EnsureCertificate(const std::string& pem, std::string& fingerprint);
  Status AppendCharge(const RoundKey& attempt, double epsilon, double delta, bool recovered);
  Status AppendOpening(const RoundPlan& plan, const SessionCharge& charge);
  Status AppendOpenings(const AttemptRecord& record);
  Status SignHead();
  bool IsOnChain(const v1::AuditPlace& place) const;
  v1::AuditPlace PlaceAt(std::uint64_t index) const;

  const Options options_;
  const IdentitySource& identity_;
  const Clock& clock_;
  std::mutex mutex_;
  std::string chain_;
  std::vector<Digest> texts_, hashes_;  // by index - 1
  std::set<std::string> certificates_;  // fingerprints that have an entry
  // Keys that have an entry of their kind.
  std::set<std::string> committed_, charged_, openings_, opened_;
  std::map<std::string, std::uint64_t> turned_away_;
  std::uint64_t epoch_here_ = 1;                               // of the last start in the record
  std::set<std::pair<std::uint64_t, std::string>> accounted_;  // charges by epoch, told ones too
  std::map<std::string, std::uint64_t> told_;                  // releases, by experiment
  Head head_;
  std::map<ClientId, v1::AuditPlace> seen_;
  std::map<ClientId, std::uint64_t> countersigned_;  // in this process
};

}  // namespace fedmeta
