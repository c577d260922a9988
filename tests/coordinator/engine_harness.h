#pragma once

#include <deque>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "fedmeta/coordinator/experiment_engine.h"
#include "fedmeta/coordinator/round_engine.h"

namespace fedmeta {

/// One line an instruction: "persist begin demo/maml train 1.1", "plan a,b demo/maml train 1.1",
/// ...
std::string Describe(const Instruction& instruction);
std::vector<std::string> Describe(const std::vector<Instruction>& instructions);

/// As a store has these records, which follow from one another.
RunHistory HistoryOf(const std::vector<AttemptRecord>& records);

/// `count` metric cells in which each of `clients` clients measured these means.
std::vector<MetricSums> Cells(std::size_t count, double clients, double loss, double accuracy);

/// An experiment "demo" with rates {0.1, 0.2}, shots {1}, steps {0, 1}, selected by accuracy at the
/// last step count.
v1::Experiment DemoExperiment(std::uint64_t rounds, std::uint32_t cohort, std::uint32_t minimum);
LegFacts DemoLeg(const std::string& name, bool main = true, bool trains = true);

/// Answers an ExperimentEngine at once, as a simulation does: the store succeeds, clients upload as
/// soon as they hear a plan, time stands still unless nothing else can happen: then the earliest
/// timer fires.
class EngineHarness {
 public:
  EngineHarness(const v1::Experiment& experiment, std::vector<LegFacts> legs,
                SmallGroups small_groups = SmallGroups::kHide);

  void Join(const std::string& client, v1::Role role = v1::ROLE_TRAIN);
  /// Runs until the experiment is finished, or `steps` events were handled.
  void Run(std::size_t steps = 100000);
  void Give(const Event& event);

  std::set<std::string> silent;   ///< hear plans and say nothing
  std::set<std::string> hostile;  ///< their uploads are refused
  /// What kCloseRound brings; default: zeros.
  std::function<RoundResult(const RunWork&)> close;
  /// Called before an instruction is carried out.
  std::function<void(const Instruction&)> on_instruction;
  std::set<Record> failing;  ///< store calls that fail
  // What a store would hold.
  std::vector<AttemptRecord> journal;
  std::optional<RoundKey> open;  ///< the attempt that was begun and has not ended
  std::vector<ClientId> present;

  std::vector<Instruction> instructions;  ///< all so far
  std::vector<std::string> Lines() const { return Describe(instructions); }
  std::vector<std::string> LinesWith(const std::string& prefix) const;
  const Finish* finish() const;
  ExperimentEngine& engine() { return engine_; }

 private:
  void Take(std::vector<Instruction> instructions);
  void Carry(const Instruction& instruction);
  void Store(const Persist& persist);

  ExperimentEngine engine_;
  TimePoint now_{};
  bool started_ = false;
  std::deque<Event> events_;
  std::multimap<TimePoint, std::uint64_t> timers_;
};

}  // namespace fedmeta
