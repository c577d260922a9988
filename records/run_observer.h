#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>

#include "fedmeta/core/result.h"
#include "fedmeta/core/state_layout.h"
#include "fedmeta/records/run_records.h"

namespace fedmeta {

/// What is known when a run starts, for headings.
struct RunHeading {
  std::string experiment = {}, model = {}, algorithm = {};  ///< "conv4", "maml, 5 steps"
  std::uint64_t parameters = 0, seed = 0, rounds = 0;
  std::uint32_t clients = 0, holdout_clients = 0, cohort = 0;
  std::string out = {};
  std::string compression = {};  ///< "10% of each update, unbiased; state as float16"; empty: none
  bool live = false;
  bool classification = true;  ///< false: regression; losses only, no accuracies
  /// What a number of shots counts: examples of each "class", of a "task", or "rows" of a table.
  std::string shots_of = "class";
  /// Rule by which the coordinator looks at each site's update; empty: it only adds them up.
  std::string robust_aggregation = {};
};

/// Hears what happens in a run, in order, on one thread. Implementations: the run folder, the
/// terminal. An error from one of them ends the run (a full disk loses nothing silently).
class RunObserver {
 public:
  virtual ~RunObserver() = default;
  virtual Status Started(const RunHeading& heading) = 0;
  /// A leg begins: `rounds` to train, 0 for methods without training.
  virtual Status LegStarted(const std::string& leg, const std::string& method,
                            std::uint64_t rounds) = 0;
  virtual Status RoundDone(const RoundRecord& record) = 0;
  /// All records of one evaluation: the sum first, then disclosed clients.
  virtual Status Evaluated(std::span<const EvaluationRecord> records) = 0;
  /// A state worth keeping: name "round-80", "best", "final", "baseline-fedavg". `metadata`:
  /// strings for the safetensors header; "assignment" holds v1::Assignment as JSON, from which
  /// load.py rebuilds the model.
  virtual Status Checkpoint(const std::string& name, const StateLayout& layout,
                            std::span<const float> state,
                            const std::map<std::string, std::string>& metadata) = 0;
  /// A run goes on: until HistoryEnds all of its past is told again, out of the store. Records are
  /// written anew from it, in place of what is there; displays stay silent.
  virtual Status HistoryBegins() = 0;
  /// `rounds`: committed so far in `leg`, which goes on.
  virtual Status HistoryEnds(const std::string& leg, std::uint64_t rounds) = 0;
  /// The run stands still (RunStatus::kPaused), and goes on by itself when sites join.
  virtual Status Paused(const RunSummary& summary) = 0;
  /// Something a person should see: a site joined, was lost, came back, was refused.
  virtual Status Note(const std::string& text) = 0;
  /// Summary and report are on disk when this returns.
  virtual Status Finished(const RunSummary& summary) = 0;
};

/// Hears nothing: for observers of one thing or two.
class QuietObserver : public RunObserver {
 public:
  Status Started(const RunHeading&) override { return {}; }
  Status LegStarted(const std::string&, const std::string&, std::uint64_t) override { return {}; }
  Status RoundDone(const RoundRecord&) override { return {}; }
  Status Evaluated(std::span<const EvaluationRecord>) override { return {}; }
  Status Checkpoint(const std::string&, const StateLayout&, std::span<const float>,
                    const std::map<std::string, std::string>&) override {
    return {};
  }
  Status HistoryBegins() override { return {}; }
  Status HistoryEnds(const std::string&, std::uint64_t) override { return {}; }
  Status Paused(const RunSummary&) override { return {}; }
  Status Note(const std::string&) override { return {}; }
  Status Finished(const RunSummary&) override { return {}; }
};

}  // namespace fedmeta
