#pragma once

#include <map>

#include "fedmeta/coordinator/round_engine.h"
#include "fedmeta/coordinator/round_store.h"
#include "fedmeta/coordinator/round_worker.h"
#include "fedmeta/core/result.h"

namespace fedmeta {

/// Puts an engine's records into the store, under one lease a run. Not thread-safe: one
/// thread calls it.
class RoundWriter {
 public:
  /// Both are borrowed. The worker stands still between kCloseRound and what follows it, so that
  /// its next state may be read from the caller's thread.
  RoundWriter(RoundStore& store, const RoundWorker& worker) : store_(store), worker_(worker) {}
  Status Write(const Persist& what);

 private:
  RoundStore& store_;
  const RoundWorker& worker_;
  std::map<ExperimentId, Lease> leases_;
};

}  // namespace fedmeta
