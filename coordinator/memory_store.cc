#include <map>
#include <set>
#include <string>
#include <utility>

#include "fedmeta/coordinator/round_store.h"
#include "fedmeta/coordinator/store_checks.h"

namespace fedmeta {
namespace {

/// What a database would keep, in maps.
class MemoryStore final : public RoundStore {
 public:
  Result<Lease> Acquire(const ExperimentId& run) override {
    return Lease{.run = run, .epoch = ++runs_[run].epoch};
  }

  Status Describe(const Lease& lease, std::string_view description) override {
    FEDMETA_ASSIGN_OR_RETURN(Run* const run, Held(lease));
    run->description = description;
    return {};
  }

  Result<std::optional<std::string>> Description(const ExperimentId& run) override {
    const auto found = runs_.find(run);
    return found == runs_.end() ? std::nullopt : found->second.description;
  }

  Result<BlobRef> PutBlob(std::span<const std::byte> bytes) override {
    const BlobRef blob{.sha256 = Digest::Of(bytes), .size = bytes.size()};
    blobs_.try_emplace(blob.sha256, Blob{.content = Bytes(bytes.begin(), bytes.end())});
    return blob;
  }

  Result<Bytes> GetBlob(const BlobRef& blob) override {
    const auto found = blobs_.find(blob.sha256);
    if (found == blobs_.end()) return NoBlob(blob);
    const Bytes& content = found->second.content;
    if (content.size() != blob.size) return OtherSize(blob, content.size());
    return content;
  }

  Status BeginAttempt(const Lease& lease, const RoundPlan& plan) override {
    FEDMETA_RETURN_IF_ERROR(CheckAttemptOfRun(lease, plan.key()));
    FEDMETA_ASSIGN_OR_RETURN(Run* const run, Held(lease));
    if (!run->attempts.try_emplace(plan.key(), Attempt::kBegun).second) {
      return BegunBefore(plan.key());
    }
    return {};
  }

  Result<std::vector<RoundKey>> OpenAttempts(const ExperimentId& run) override {
    std::vector<RoundKey> open;
    const auto found = runs_.find(run);
    if (found == runs_.end()) return open;
    for (const auto& [key, attempt] : found->second.attempts) {
      if (attempt == Attempt::kBegun) open.push_back(key);
    }
    return open;
  }

  Status ChargePrivacy(const Lease& lease, const PrivacyCharge& charge) override {
    FEDMETA_RETURN_IF_ERROR(CheckSessionOfRun(lease, charge.session));
    FEDMETA_ASSIGN_OR_RETURN(Run* const run, Held(lease));
    FEDMETA_RETURN_IF_ERROR(CheckRunning(*run, AttemptOf(charge.session)));
    if (run->charged.contains(charge.session)) return ChargedBefore(charge.session);
    FEDMETA_RETURN_IF_ERROR(Name({charge.masked_sum, charge.receipts}));
    run->charged.insert(charge.session);
    run->charges.push_back(charge);
    return {};
  }

  Result<std::vector<PrivacyCharge>> PrivacyCharges(const ExperimentId& run) override {
    const auto found = runs_.find(run);
    return found == runs_.end() ? std::vector<PrivacyCharge>() : found->second.charges;
  }

  Status EndAttempt(const Lease& lease, const JournalEntry& entry) override {
    FEDMETA_RETURN_IF_ERROR(CheckAttemptOfRun(lease, entry.key));
    FEDMETA_ASSIGN_OR_RETURN(Run* const run, Held(lease));
    FEDMETA_RETURN_IF_ERROR(CheckRunning(*run, entry.key));
    End(*run, entry);
    return {};
  }

  Status CommitRound(const Lease& lease, const RoundPlan& plan, const CommittedRound& round,
                     std::string_view outcome) override {
    FEDMETA_RETURN_IF_ERROR(CheckAttemptOfRun(lease, plan.key()));
    FEDMETA_RETURN_IF_ERROR(CheckCommit(plan, round));
    FEDMETA_ASSIGN_OR_RETURN(Run* const run, Held(lease));
    FEDMETA_RETURN_IF_ERROR(CheckRunning(*run, plan.key()));
    const auto leg = legs_.find(plan.key().experiment);
    std::optional<RoundKey> head;
    if (leg != legs_.end()) head = leg->second.head.key;
    if (plan.parent() != head) return NotOnHead(plan, head);
    std::vector<BlobRef> named = {round.state, round.optimizer_state};
    for (const auto& [client, blob] : round.client_states) named.push_back(blob);
    FEDMETA_RETURN_IF_ERROR(Name(named));

    Leg& changed = legs_[plan.key().experiment];
    if (head) {
      Unname(changed.head.state);
      Unname(changed.head.optimizer_state);
    }
    changed.head = round;
    for (const auto& [client, blob] : round.client_states) {
      const auto [at, first] = changed.client_states.try_emplace(client, blob);
      if (!first) Unname(std::exchange(at->second, blob));
    }
    End(*run, {.key = plan.key(), .outcome = std::string(outcome)});
    return {};
  }

  Status Keep(const Lease& lease, std::string_view name, const BlobRef& blob) override {
    FEDMETA_ASSIGN_OR_RETURN(Run* const run, Held(lease));
    FEDMETA_RETURN_IF_ERROR(Name({blob}));
    const auto [at, first] = run->kept.try_emplace(std::string(name), blob);
    if (!first) Unname(std::exchange(at->second, blob));
    return {};
  }

  Status SetPresence(const Lease& lease, std::string_view presence) override {
    FEDMETA_ASSIGN_OR_RETURN(Run* const run, Held(lease));
    run->presence = presence;
    return {};
  }

  void Tidy() override {}

  Result<std::optional<CommittedRound>> Head(const ExperimentId& leg) override {
    const auto found = legs_.find(leg);
    if (found == legs_.end()) return std::optional<CommittedRound>();
    return std::optional(found->second.head);
  }

  Result<std::optional<BlobRef>> ClientState(const ExperimentId& leg,
                                             const ClientId& client) override {
    const auto found = legs_.find(leg);
    if (found == legs_.end()) return std::optional<BlobRef>();
    const auto state = found->second.client_states.find(client);
    if (state == found->second.client_states.end()) return std::optional<BlobRef>();
    return std::optional(state->second);
  }

  Result<std::vector<JournalEntry>> Journal(const ExperimentId& run) override {
    const auto found = runs_.find(run);
    return found == runs_.end() ? std::vector<JournalEntry>() : found->second.journal;
  }

  Result<std::string> Presence(const ExperimentId& run) override {
    const auto found = runs_.find(run);
    return found == runs_.end() ? std::string() : found->second.presence;
  }

 private:
  enum class Attempt : std::uint8_t { kBegun, kEnded };
  struct Run {
    std::uint64_t epoch = 0;
    std::optional<std::string> description;
    std::string presence;
    std::map<RoundKey, Attempt> attempts;
    std::vector<JournalEntry> journal;
    std::set<RoundKey> charged;
    std::vector<PrivacyCharge> charges;
    std::map<std::string, BlobRef> kept;
  };
  struct Leg {
    CommittedRound head;
    std::map<ClientId, BlobRef> client_states;
  };
  struct Blob {
    Bytes content;
    std::uint64_t names = 0;
  };

  Result<Run*> Held(const Lease& lease) {
    const auto found = runs_.find(lease.run);
    if (found == runs_.end() || found->second.epoch != lease.epoch) return StaleLease(lease);
    return &found->second;
  }

  static Status CheckRunning(const Run& run, const RoundKey& attempt) {
    const auto found = run.attempts.find(attempt);
    if (found == run.attempts.end()) return NeverBegun(attempt);
    if (found->second == Attempt::kEnded) return EndedBefore(attempt);
    return {};
  }

  void End(Run& run, const JournalEntry& entry) {
    EmptyCharges(run, entry.key);
    run.attempts[entry.key] = Attempt::kEnded;
    run.journal.push_back(entry);
  }

  // The sums of an attempt's sessions, and what opens them, have served.
  void EmptyCharges(Run& run, const RoundKey& attempt) {
    const BlobRef nothing{.sha256 = Digest::Of(""), .size = 0};
    for (PrivacyCharge& charge : run.charges) {
      if (AttemptOf(charge.session) != attempt || charge.receipts == nothing) continue;
      blobs_[nothing.sha256].names += 2;
      Unname(std::exchange(charge.masked_sum, nothing));
      Unname(std::exchange(charge.receipts, nothing));
    }
  }

  // All of them or none.
  Status Name(const std::vector<BlobRef>& blobs) {
    for (const BlobRef& blob : blobs) {
      const auto found = blobs_.find(blob.sha256);
      if (found == blobs_.end() || found->second.content.size() != blob.size) return NoBlob(blob);
    }
    for (const BlobRef& blob : blobs) ++blobs_[blob.sha256].names;
    return {};
  }

  void Unname(const BlobRef& blob) {
    const auto found = blobs_.find(blob.sha256);
    if (--found->second.names == 0) blobs_.erase(found);
  }

  std::map<ExperimentId, Run> runs_;
  std::map<ExperimentId, Leg> legs_;
  std::map<Digest, Blob> blobs_;
};

}  // namespace

std::unique_ptr<RoundStore> MakeMemoryStore() { return std::make_unique<MemoryStore>(); }

}  // namespace fedmeta
