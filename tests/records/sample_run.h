#pragma once

#include <filesystem>

#include "fedmeta/core/clock.h"
#include "fedmeta/core/state_layout.h"
#include "fedmeta/records/run_observer.h"
#include "fedmeta/records/run_records.h"

namespace fedmeta {

/// A made-up run that has something in every figure: a main method that is better than its
/// baselines, a site that is lost and comes back, an abandoned attempt.
struct SampleRun {
  std::uint64_t rounds = 200;
  std::uint32_t sites = 12;  ///< that train
  std::uint32_t holdout_sites = 20;
  bool classification = true;
  bool disclosed = true;    ///< per-client records
  double advantage = 0.12;  ///< of the main method
  bool scores = false;      ///< of a table: AUC and calibration of final figures, shots in rows
};

RunHeading SampleHeading(const SampleRun& run);
RoundRecord SampleRound(const SampleRun& run, std::uint64_t round);
/// The sum first, then clients. `method` 0 is the main one.
std::vector<EvaluationRecord> SampleEvaluation(const SampleRun& run, int method,
                                               std::uint64_t round, bool holdout);
RunSummary SampleSummary(const SampleRun& run);
/// One tensor "layers.0.weight" [2, 3] and "layers.0.bias" [2]: an mlp without hidden layers.
StateLayout SampleLayout();
std::map<std::string, std::string> SampleMetadata();

/// Tells `observer` the whole run; everything but Finished when `finish` is false.
Status PlaySampleRun(const SampleRun& run, RunObserver& observer, ManualClock& clock,
                     bool finish = true);

}  // namespace fedmeta
