#include "fedmeta/coordinator/run_recorder.h"

#include <cstring>
#include <utility>

#include "fedmeta/coordinator/checkpoint.h"

namespace fedmeta {

Status RunRecorder::Record(const HistoryBegins&) {
  history_ = true;
  return observer_.HistoryBegins();
}

Status RunRecorder::Record(const HistoryEnds& what) {
  history_ = false;
  for (const auto& [name, checkpoint] : std::exchange(checkpoints_, {})) {
    FEDMETA_ASSIGN_OR_RETURN(const Bytes state, Find(checkpoint));
    FEDMETA_RETURN_IF_ERROR(Keep(checkpoint, state));
  }
  return observer_.HistoryEnds(legs_[what.leg].name, what.rounds);
}

Status RunRecorder::Record(const ReportLeg& what) {
  const Leg& leg = legs_[what.leg];
  return observer_.LegStarted(leg.name, leg.method, leg.trains ? rounds_ : 0);
}

Status RunRecorder::Record(const ReportCheckpoint& what,
                           const std::shared_ptr<const Bytes>& state) {
  if (!history_) return Keep(what, *state);
  checkpoints_.insert_or_assign(what.name, what);
  return {};
}

Status RunRecorder::Keep(const ReportCheckpoint& what, const Bytes& state) {
  FEDMETA_ASSIGN_OR_RETURN(const BlobRef blob, store_.PutBlob(state));
  FEDMETA_RETURN_IF_ERROR(store_.Keep(lease_, what.name, blob));
  const Leg& leg = legs_[what.leg];
  std::vector<float> values(state.size() / sizeof(float));
  std::memcpy(values.data(), state.data(), values.size() * sizeof(float));
  return observer_.Checkpoint(what.name, leg.layout, values,
                              CheckpointMetadata(leg, what.metadata));
}

Result<Bytes> RunRecorder::Find(const ReportCheckpoint& what) {
  const Leg& leg = legs_[what.leg];
  Result<Bytes> kept =
      store_.GetBlob({.sha256 = what.state_hash, .size = leg.layout.size() * sizeof(float)});
  if (kept.ok() || kept.error().code() != ErrorCode::kNotFound) return kept;
  // Only the leg's first state may have been named and not yet kept when a crash came.
  const auto initial = AsBytes(std::span<const float>(leg.initial_state));
  if (Digest::Of(initial) == what.state_hash) return Bytes(initial.begin(), initial.end());
  return kept;
}

}  // namespace fedmeta
