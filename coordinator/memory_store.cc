#include <map>
#include <mutex>
#include <set>
#include <string>
#include <utility>

#include "fedmeta/coordinator/round_store.h"

namespace fedmeta {
namespace {

/// What a database would keep, in maps. Thread-safe.
class MemoryStore final : public RoundStore {
 public:
  Result<Lease> Acquire(const ExperimentId& experiment) override {
    const std::lock_guard lock(mutex_);
    return Lease{.experiment = experiment, .epoch = ++experiments_[experiment].epoch};
  }

  Result<BlobRef> PutBlob(std::span<const std::byte> bytes) override {
    const BlobRef blob{.sha256 = Digest::Of(bytes), .size = bytes.size()};
    const std::lock_guard lock(mutex_);
    blobs_.try_emplace(blob.sha256, bytes.begin(), bytes.end());
    return blob;
  }

  Result<Bytes> GetBlob(const BlobRef& blob) override {
    const std::lock_guard lock(mutex_);
    const auto found = blobs_.find(blob.sha256);
    if (found == blobs_.end()) {
      return Error(ErrorCode::kNotFound, "store: no blob " + blob.sha256.hex());
    }
    if (found->second.size() != blob.size) {
      return Error(ErrorCode::kDataLoss, "store: blob " + blob.sha256.hex() + " has " +
                                             std::to_string(found->second.size()) +
                                             " bytes, expected " + std::to_string(blob.size));
    }
    return found->second;
  }

  Status BeginAttempt(const Lease& lease, const RoundPlan& plan) override {
    const std::lock_guard lock(mutex_);
    FEDMETA_ASSIGN_OR_RETURN(Experiment* const experiment, Find(lease, plan.key()));
    if (!experiment->attempts.insert(plan.key()).second) {
      return Error(ErrorCode::kAlreadyExists,
                   "store: attempt " + plan.key().ToString() + " was begun before");
    }
    return {};
  }

  Status AbandonAttempt(const Lease& lease, const RoundKey& attempt, std::string_view) override {
    const std::lock_guard lock(mutex_);
    FEDMETA_ASSIGN_OR_RETURN(Experiment* const experiment, Find(lease, attempt));
    return CheckBegun(*experiment, attempt);
  }

  Status CommitRound(const Lease& lease, const RoundPlan& plan,
                     const CommittedRound& round) override {
    const std::lock_guard lock(mutex_);
    FEDMETA_ASSIGN_OR_RETURN(Experiment* const experiment, Find(lease, plan.key()));
    FEDMETA_RETURN_IF_ERROR(CheckBegun(*experiment, plan.key()));
    std::optional<RoundKey> head;
    if (experiment->head) head = experiment->head->key;
    if (plan.parent() != head) {
      return Error(ErrorCode::kFailedPrecondition,
                   "store: " + plan.key().ToString() + " builds on " +
                       (plan.parent() ? plan.parent()->ToString() : "nothing") +
                       ", but the last committed round is " + (head ? head->ToString() : "none"));
    }
    if (experiment->head) Forget(*experiment->head, round);
    experiment->head = round;
    return {};
  }

  Result<std::optional<CommittedRound>> Head(const ExperimentId& experiment) override {
    const std::lock_guard lock(mutex_);
    const auto found = experiments_.find(experiment);
    if (found == experiments_.end()) return std::optional<CommittedRound>();
    return found->second.head;
  }

 private:
  struct Experiment {
    std::uint64_t epoch = 0;
    std::set<RoundKey> attempts;
    std::optional<CommittedRound> head;
  };

  Result<Experiment*> Find(const Lease& lease, const RoundKey& key) {
    if (key.experiment != lease.experiment) {
      return Error(ErrorCode::kInvalidArgument, "store: the lease is for " +
                                                    lease.experiment.value() + ", not " +
                                                    key.experiment.value());
    }
    const auto found = experiments_.find(lease.experiment);
    if (found == experiments_.end() || found->second.epoch != lease.epoch) {
      return Error(ErrorCode::kFailedPrecondition,
                   "store: lease of epoch " + std::to_string(lease.epoch) + " on " +
                       lease.experiment.value() + " is no longer valid: another holder took over");
    }
    return &found->second;
  }

  static Status CheckBegun(const Experiment& experiment, const RoundKey& attempt) {
    if (experiment.attempts.contains(attempt)) return {};
    return Error(ErrorCode::kFailedPrecondition,
                 "store: attempt " + attempt.ToString() + " was never begun");
  }

  // Only the head's blobs are ever read again, and a state a round would fill the memory.
  void Forget(const CommittedRound& old, const CommittedRound& next) {
    for (const Digest& digest : {old.state.sha256, old.optimizer_state.sha256}) {
      if (digest != next.state.sha256 && digest != next.optimizer_state.sha256) {
        blobs_.erase(digest);
      }
    }
  }

  std::mutex mutex_;
  std::map<ExperimentId, Experiment> experiments_;
  std::map<Digest, Bytes> blobs_;
};

}  // namespace

std::unique_ptr<RoundStore> MakeMemoryStore() { return std::make_unique<MemoryStore>(); }

}  // namespace fedmeta
