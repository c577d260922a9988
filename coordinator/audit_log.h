#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "fedmeta/coordinator/attempt_record.h"
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

  /// This process begins, with what it runs: the offer's hash. `visible`: what it sees of updates,
  /// for people ("individual updates visible").
  Status Started(const std::string& experiment, const Digest& offer, const std::string& visible,
                 bool resumed);
  /// Committed rounds of the store that are not here, because the process ended between the two.
  Status Reconcile(const std::vector<AttemptRecord>& history);
  Status AttemptBegan(const RoundPlan& plan, std::uint32_t cohort);
  /// And signs the head that follows. On disk when it returns, before any client hears of it.
  Status AttemptEnded(const AttemptRecord& record, const Digest& plan_hash);
  /// A client takes part, or does not, by this rule.
  Status Stood(const ClientId& client, const std::string& rule);
  Status Ended(const std::string& status);

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
  std::set<std::string> committed_;     // keys that have a commit entry
  Head head_;
  std::map<ClientId, v1::AuditPlace> seen_;
};

}  // namespace fedmeta
