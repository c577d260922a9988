#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "fedmeta/coordinator/leg.h"
#include "fedmeta/coordinator/round_engine.h"
#include "fedmeta/core/clock.h"
#include "fedmeta/v1/experiment.pb.h"

namespace fedmeta {

/// What the engine needs to know of a leg; the states themselves stay with the RoundWorker.
struct LegFacts {
  std::string name, method;
  bool main = false, trains = true;
  Digest assignment_hash;
  std::uint64_t assignment_size = 0, coordinates = 0;
  double maximum_weight = 1;
};

/// What follows what in one experiment: for each leg, rounds, evaluations every k rounds and at the end, retries; then the choice of
/// settings and rounds on validation, the summary, the end. Owns the current RoundEngine; one an experiment, on that experiment's strand.
/// Sans-I/O, deterministic: cohorts are drawn from (seed, "cohort", leg, round) over the joined training clients in order of name.
///
/// Evaluation: two attempts, validation (validation clients, else training clients; part VALIDATION) and test (hold-outs, part TEST; else
/// training clients, part TEST), each over learning rates x shots x steps. The best round and the best leg of a method are chosen by
/// evaluation.select on validation; the hold-out figures of exactly that round are the final ones.
class ExperimentEngine {
 public:
  ExperimentEngine(const v1::Experiment& experiment, std::vector<LegFacts> legs);
  ~ExperimentEngine();
  ExperimentEngine(const ExperimentEngine&) = delete;
  ExperimentEngine& operator=(const ExperimentEngine&) = delete;

  std::vector<Instruction> Start(TimePoint now);
  /// After WorkFinished of kCloseRound the driver calls SetStateHash before handing the event in, so that the next plan names it.
  std::vector<Instruction> Handle(const Event& event, TimePoint now);
  /// Digest of the current leg's state (float32 little-endian), set by the driver at StartLeg and after each commit.
  void SetStateHash(const Digest& digest);
  bool finished() const;
  std::string_view phase() const;

 private:
  class Implementation;
  std::unique_ptr<Implementation> implementation_;
};

}  // namespace fedmeta
