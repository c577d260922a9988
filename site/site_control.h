#pragma once

#include <condition_variable>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>

#include "fedmeta/configs/day_hours.h"
#include "fedmeta/core/clock.h"
#include "fedmeta/core/file_lock.h"
#include "fedmeta/core/result.h"
#include "fedmeta/protocol/round_plan.h"
#include "fedmeta/site/decision.h"
#include "fedmeta/site/decision_log.h"
#include "fedmeta/site/policy.h"
#include "fedmeta/site/proposal.h"
#include "fedmeta/v1/client.pb.h"

namespace fedmeta {

/// A site's control over what it takes part in: its policy, the hours, and what somebody here has
/// decided. Asked by the client before anything else happens, told by `fedmeta site`. Experiments
/// and decisions lie in the state folder (offers/, approvals.jsonl), so that both outlive the
/// process and need no coordinator. Thread-safe.
class SiteControl {
 public:
  struct Options {
    v1::Policy policy;
    std::optional<DayHours> hours = {};  ///< none: always
    std::filesystem::path state_dir;     ///< is there
    SiteFacts site;
    /// Who has signed an experiment; empty: nobody counts.
    std::function<Result<IdentityUri>(const Proposal&)> researcher = {};
  };
  /// Takes the state folder for this process: two that share it would each answer and open what
  /// the other has. kUnavailable: another client's process has it (its id is said).
  static Result<std::unique_ptr<SiteControl>> Open(Options options, const Clock& clock);

  /// What the coordinator offers from now on, or why that cannot be read.
  void Offered(Result<Proposal> proposal);
  /// Of the experiment offered last.
  Decision Standing() const;
  /// Of one plan; first of all that is Standing.
  Decision Decide(const RoundPlan& plan) const;
  /// Of the experiment offered last; nothing for any other.
  std::optional<std::string> FindAssignment(const Digest& digest) const;
  /// Somebody ended this site's part: the client says so and ends.
  bool left() const;
  const v1::Disclose& disclose() const { return options_.policy.disclose(); }

  /// Returns when something was decided or offered since `seen`, was asked to stop, or `at_most`
  /// passed (hours begin and end by themselves). The number to wait for next.
  std::uint64_t WaitForChange(std::uint64_t seen, Duration at_most, std::stop_token stop) const;

  /// One JSON object in, one out: {"command": "pending", "show", "approve", "reject", "pause",
  /// "resume", "leave" or "ledger", "experiment": name or hash or the beginning of one, "note"}.
  /// Errors: {"error": {"code", "message"}}. `who`: for the records.
  std::string Answer(std::string_view request, const std::string& who);

 private:
  SiteControl(Options options, FileLock lock, DecisionLog log, const Clock& clock);
  Status LoadOffers();
  Status Keep(const Proposal& proposal);
  void ForgetUndecided();
  std::filesystem::path OfferFile(const std::string& hash) const;
  Decision DecideOn(const Proposal& proposal) const;
  Result<IdentityUri> ResearcherOf(const Proposal& proposal) const;
  Decision StandingLocked() const;
  bool InHours() const;
  void Changed();

  const Options options_;
  const Clock& clock_;
  mutable std::mutex mutex_;
  mutable std::condition_variable_any changed_;
  std::uint64_t version_ = 1;
  const FileLock lock_;
  DecisionLog log_;
  std::map<std::string, std::shared_ptr<const Proposal>> known_;  // by hash
  std::shared_ptr<const Proposal> current_;
  std::optional<Error> offer_error_;
  bool left_ = false;
};

}  // namespace fedmeta
