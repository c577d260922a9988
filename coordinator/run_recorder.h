#pragma once

#include <map>
#include <memory>
#include <string>

#include "fedmeta/coordinator/leg.h"
#include "fedmeta/coordinator/round_engine.h"
#include "fedmeta/coordinator/round_store.h"
#include "fedmeta/core/bytes.h"
#include "fedmeta/core/result.h"
#include "fedmeta/records/run_observer.h"

namespace fedmeta {

/// Tells the observer what the engine reports, and keeps the states that it names as checkpoints in
/// the store. Out of a run's history, of each checkpoint name the last is told. Not thread-safe:
/// called on the store thread, in the order of the instructions. An error ends the run.
class RunRecorder {
 public:
  /// All borrowed.
  RunRecorder(const std::vector<Leg>& legs, std::uint64_t rounds, RoundStore& store, Lease lease,
              RunObserver& observer)
      : legs_(legs),
        rounds_(rounds),
        store_(store),
        lease_(std::move(lease)),
        observer_(observer) {}

  Status Record(const HistoryBegins&);
  Status Record(const HistoryEnds& what);
  Status Record(const ReportLeg& what);
  Status Record(const ReportRound& what) { return observer_.RoundDone(what.record); }
  Status Record(const ReportEvaluation& what) { return observer_.Evaluated(what.records); }
  /// `state`: the current one; not read in the history.
  Status Record(const ReportCheckpoint& what, const std::shared_ptr<const Bytes>& state);
  Status Record(const ReportNote& what) { return observer_.Note(what.text); }
  Status Record(const ReportPause& what) { return observer_.Paused(what.summary); }

 private:
  Status Keep(const ReportCheckpoint& what, const Bytes& state);
  /// The state that a checkpoint of the history names.
  Result<Bytes> Find(const ReportCheckpoint& what);

  const std::vector<Leg>& legs_;
  const std::uint64_t rounds_;
  RoundStore& store_;
  const Lease lease_;
  RunObserver& observer_;
  bool history_ = false;
  std::map<std::string, ReportCheckpoint> checkpoints_;  // of the history
};

}  // namespace fedmeta
