#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "fedmeta/coordinator/attempt_record.h"
#include "fedmeta/coordinator/charged_attempt.h"
#include "fedmeta/coordinator/round_engine.h"
#include "fedmeta/coordinator/round_store.h"
#include "fedmeta/coordinator/round_worker.h"
#include "fedmeta/coordinator/run_history.h"
#include "fedmeta/core/result.h"

namespace fedmeta {

/// A run as its store has it, open for writing.
struct OpenedRun {
  Lease lease;
  RunHistory history;                              ///< empty: it is new
  std::vector<ClientId> present;                   ///< when the last attempt began
  std::uint64_t charged = 0;                       ///< releases charged to the privacy budget
  std::optional<ChargedAttempt> interrupted = {};  ///< not ended: to be gone on with
};
/// Of an attempt that was cut off after its sums were charged.
enum class Interrupted : std::uint8_t {
  kEnd,     ///< simulation: its clients and what they had opened are gone too
  kResume,  ///< live: OpenedRun::interrupted
};
/// Takes the run over from whoever wrote it before; an attempt that was cut off is ended as such.
/// One whose charge cannot be read any more is spent.
Result<OpenedRun> OpenRun(RoundStore& store, const ExperimentId& run,
                          Interrupted interrupted = Interrupted::kResume);

/// Puts an engine's records into the store. Not thread-safe: one thread calls it.
class RoundWriter {
 public:
  /// Store and worker are borrowed. The worker stands still between kCloseRound and what follows
  /// it, so that its next state may be read from the caller's thread.
  RoundWriter(RoundStore& store, Lease lease, const RoundWorker& worker)
      : store_(store), lease_(std::move(lease)), worker_(worker) {}

  /// What costs privacy is charged first, and stays charged whatever becomes of it.
  /// `client_states`, simulation, with kCommitRound: what clients keep, where it changed. With
  /// kCommitRound the digest of the state that was committed, for RoundWorker::Commit.
  Result<Digest> Write(const Persist& what,
                       std::span<const std::pair<ClientId, Bytes>> client_states = {});
  /// Once the next attempt has begun: clients train, nobody waits for the store.
  void Tidy() { store_.Tidy(); }
  /// kChargePrivacy, with the group's masked sum.
  Status Charge(const Persist& what, std::span<const std::byte> masked_sum);
  using Sums = std::vector<std::pair<ChargedAttempt::Group, Bytes>>;
  /// kResumeAttempt: the groups with their masked sums.
  Result<Sums> MaskedSums(const RoundKey& attempt);
  /// What a leg that goes on starts from; nothing for one that begins.
  Result<std::optional<SavedState>> Load(const StartLeg& what, const ExperimentId& leg);

 private:
  /// In plain mode a release has no masked sum or receipts: empty blobs stand for them.
  Status Charge(const RoundKey& attempt, const PrivacyCost& cost);

  RoundStore& store_;
  const Lease lease_;
  const RoundWorker& worker_;
};

}  // namespace fedmeta
