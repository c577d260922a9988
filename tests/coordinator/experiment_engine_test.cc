#include "fedmeta/coordinator/experiment_engine.h"

#include <map>

#include "engine_harness.h"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace fedmeta {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST(ExperimentEngineTest, RunsRoundsThenEvaluatesThenFinishes) {
  EngineHarness harness(DemoExperiment(1, 2, 2), {DemoLeg("maml")});
  harness.Join("a");
  harness.Join("b");
  harness.Run();
  EXPECT_THAT(
      harness.Lines(),
      ElementsAre(
          "report leg 0", "leg 0", "persist begin demo/maml train 1.1",
          "plan a,b demo/maml train 1.1", "timer at 60000", "add a", "add b",
          "sum of 2 demo/maml train 1.1", "persist commit demo/maml train 1.1",
          "close a,b demo/maml train 1.1 counted", "round maml 1.1 committed",
          "persist begin demo/maml evaluate 1.1", "plan a,b demo/maml evaluate 1.1",
          "timer at 60000", "add a", "add b", "sum of 2 demo/maml evaluate 1.1",
          "persist figures demo/maml evaluate 1.1", "close a,b demo/maml evaluate 1.1 counted",
          "evaluation maml 1 validation", "checkpoint 0 round-1", "checkpoint 0 best",
          "persist begin demo/maml evaluate 1.2", "plan a,b demo/maml evaluate 1.2",
          "timer at 60000", "add a", "add b", "sum of 2 demo/maml evaluate 1.2",
          "persist figures demo/maml evaluate 1.2", "close a,b demo/maml evaluate 1.2 counted",
          "evaluation maml 1 test", "checkpoint 0 final", "finish 0"));
  ASSERT_NE(harness.finish(), nullptr);
  EXPECT_TRUE(harness.finish()->status.ok());
  EXPECT_EQ(harness.finish()->summary.rounds, 1U);
  EXPECT_EQ(harness.finish()->summary.reports, 2U);
  EXPECT_TRUE(harness.engine().finished());
}

std::vector<std::string> Checkpoints(const EngineHarness& harness) {
  return harness.LinesWith("checkpoint");
}

/// A harness whose evaluations give `accuracy(leg and round, part)` at every cell.
void Score(EngineHarness& harness,
           std::function<double(const std::string& experiment, std::uint64_t round)> accuracy) {
  harness.close = [accuracy](const RunWork& work) {
    RoundResult result;
    const RoundKey& key = work.plan.key();
    const double value =
        key.purpose == Purpose::kTrain ? 0.5 : accuracy(key.experiment.value(), key.round);
    result.metrics = Cells(MetricCells(work.plan.message()), work.reported, 1, value);
    return result;
  };
}

TEST(ExperimentEngineTest, WaitsForTheCohortBeforeRoundOne) {
  EngineHarness harness(DemoExperiment(1, 3, 2), {DemoLeg("maml")});
  harness.Join("a");
  harness.Run(0);
  EXPECT_EQ(harness.engine().phase(), "waiting for clients");
  harness.Join("b");
  EXPECT_THAT(harness.LinesWith("persist"), IsEmpty());
  harness.Join("c");
  EXPECT_THAT(harness.LinesWith("persist"), ElementsAre("persist begin demo/maml train 1.1"));
}

TEST(ExperimentEngineTest, AfterTheJoinDeadlineTheMinimumSuffices) {
  EngineHarness harness(DemoExperiment(1, 3, 2), {DemoLeg("maml")});
  harness.Join("a");
  harness.Join("b");
  harness.Run();
  EXPECT_THAT(
      harness.LinesWith("note"),
      ElementsAre("note 2 of 3 training clients present after 10 min 0 s: going on with these"));
  EXPECT_TRUE(harness.finish()->status.ok());
}

TEST(ExperimentEngineTest, AfterTheJoinDeadlineTooFewClientsFail) {
  EngineHarness harness(DemoExperiment(1, 3, 2), {DemoLeg("maml")});
  harness.Join("a");
  harness.Join("h", v1::ROLE_HOLDOUT);  // does not train
  harness.Run();
  ASSERT_NE(harness.finish(), nullptr);
  EXPECT_EQ(harness.finish()->summary.status, RunStatus::kFailed);
  EXPECT_EQ(ExitCode(harness.finish()->status.error()), 4);
  EXPECT_THAT(
      harness.finish()->summary.reason,
      HasSubstr("1 of 3 training clients present after 10 min 0 s (federation.join_deadline), "
                "at least 2 needed"));
}

TEST(ExperimentEngineTest, RetriesARoundThatMissedItsMinimum) {
  EngineHarness harness(DemoExperiment(1, 2, 2), {DemoLeg("maml")});
  harness.Join("a");
  harness.Join("b");
  harness.hostile = {"b"};
  harness.on_instruction = [&](const Instruction& instruction) {
    if (std::holds_alternative<ReportRound>(instruction)) harness.hostile.clear();
  };
  harness.Run();
  EXPECT_THAT(
      harness.LinesWith("round"),
      ElementsAre("round maml 1.1 abandoned: 1 of 2 reported, 2 needed; b: upload, not finite",
                  "round maml 1.2 committed"));
  EXPECT_EQ(harness.finish()->summary.status, RunStatus::kCompleted);
  EXPECT_EQ(harness.finish()->summary.dropped, 1U);
}

TEST(ExperimentEngineTest, FailsWithFiguresWhenRetriesAreUsedUp) {
  EngineHarness harness(DemoExperiment(5, 3, 3), {DemoLeg("maml")});
  for (const char* name : {"a", "b", "c"}) harness.Join(name);
  harness.silent = {"b"};
  harness.Run();
  EXPECT_EQ(harness.LinesWith("round").size(), 3U);  // retries: 2
  ASSERT_NE(harness.finish(), nullptr);
  EXPECT_EQ(harness.finish()->summary.status, RunStatus::kFailed);
  EXPECT_EQ(ExitCode(harness.finish()->status.error()), 4);
  EXPECT_EQ(harness.finish()->summary.reason,
            "demo/maml round 1 failed in 3 attempts: 2 of 3 reported, 3 needed; b: deadline, no "
            "report within 1 min 0 s");
}

TEST(ExperimentEngineTest, ADroppedClientCostsTheRoundThatClientOnly) {
  EngineHarness harness(DemoExperiment(2, 3, 2), {DemoLeg("maml")});
  for (const char* name : {"a", "b", "c"}) harness.Join(name);
  harness.hostile = {"b"};
  harness.Run();
  EXPECT_EQ(harness.finish()->summary.status, RunStatus::kCompleted);
  EXPECT_EQ(harness.finish()->summary.reports, 4U);
  EXPECT_EQ(harness.finish()->summary.dropped, 2U);
}

TEST(ExperimentEngineTest, LaterRoundsWaitForTheMinimum) {
  EngineHarness harness(DemoExperiment(2, 2, 2), {DemoLeg("maml")});
  harness.Join("a");
  harness.Join("b");
  bool gone = false;
  harness.on_instruction = [&](const Instruction& instruction) {
    const auto* close = std::get_if<RunWork>(&instruction);
    gone = gone || (close != nullptr && close->work == Work::kCloseRound);
  };
  while (!gone) harness.Run(1);
  harness.Give(ClientLost{ClientId("b"), "silent"});
  while (harness.engine().phase() != "waiting for clients") harness.Run(1);
  EXPECT_THAT(harness.LinesWith("persist begin"), ElementsAre("persist begin demo/maml train 1.1"));
  harness.Join("b");
  EXPECT_THAT(harness.LinesWith("persist begin"), ElementsAre("persist begin demo/maml train 1.1",
                                                              "persist begin demo/maml train 2.1"));
}

TEST(ExperimentEngineTest, MainLegsRunBeforeBaselines) {
  EngineHarness harness(DemoExperiment(1, 1, 1), {DemoLeg("local", false, false), DemoLeg("maml"),
                                                  DemoLeg("fedavg", false), DemoLeg("maml-2")});
  harness.Join("a");
  harness.Run();
  EXPECT_THAT(harness.LinesWith("leg"), ElementsAre("leg 1", "leg 3", "leg 0", "leg 2"));
  // The leg that does not train is evaluated once, at round 0.
  EXPECT_THAT(harness.LinesWith("persist begin demo/local"),
              ElementsAre("persist begin demo/local evaluate 0.1",
                          "persist begin demo/local evaluate 0.2"));
}

TEST(ExperimentEngineTest, EvaluatesEveryKRoundsAndAtTheEnd) {
  v1::Experiment experiment = DemoExperiment(5, 1, 1);
  experiment.mutable_evaluation()->set_every(2);
  EngineHarness harness(experiment, {DemoLeg("maml")});
  harness.Join("a");
  harness.Run();
  EXPECT_THAT(harness.LinesWith("evaluation"),
              ElementsAre("evaluation maml 2 validation", "evaluation maml 2 test",
                          "evaluation maml 4 validation", "evaluation maml 4 test",
                          "evaluation maml 5 validation", "evaluation maml 5 test"));
}

TEST(ExperimentEngineTest, HoldoutsAndValidationClientsOnlyEvaluate) {
  EngineHarness harness(DemoExperiment(1, 2, 2), {DemoLeg("maml")});
  harness.Join("a");
  harness.Join("b");
  harness.Join("h", v1::ROLE_HOLDOUT);
  harness.Join("v", v1::ROLE_VALIDATION);
  harness.Run();
  EXPECT_THAT(harness.LinesWith("plan"),
              ElementsAre("plan a,b demo/maml train 1.1", "plan v demo/maml evaluate 1.1",
                          "plan h demo/maml evaluate 1.2"));
}

TEST(ExperimentEngineTest, WithoutHoldoutsTheTrainingClientsAreTested) {
  EngineHarness harness(DemoExperiment(1, 2, 2), {DemoLeg("maml")});
  harness.Join("a");
  harness.Join("b");
  harness.Run();
  std::vector<v1::Part> parts;
  for (const Instruction& instruction : harness.instructions) {
    const auto* plan = std::get_if<SendPlan>(&instruction);
    if (plan && plan->plan.message().has_evaluate())
      parts.push_back(plan->plan.message().evaluate().part());
  }
  EXPECT_THAT(parts, ElementsAre(v1::PART_VALIDATION, v1::PART_TEST));
}

TEST(ExperimentEngineTest, AnEvaluationRetriesUnderNewKeys) {
  EngineHarness harness(DemoExperiment(1, 1, 1), {DemoLeg("maml")});
  harness.Join("a");
  harness.Join("v", v1::ROLE_VALIDATION);
  harness.hostile = {"v"};
  harness.Run();
  EXPECT_THAT(
      harness.LinesWith("persist begin demo/maml evaluate"),
      ElementsAre("persist begin demo/maml evaluate 1.1", "persist begin demo/maml evaluate 1.3",
                  "persist begin demo/maml evaluate 1.5"));
  EXPECT_EQ(harness.finish()->status.error().code(), ErrorCode::kFederationFailed);
  EXPECT_EQ(harness.finish()->summary.rounds, 1U);
}

TEST(ExperimentEngineTest, KeepsTheBestRoundAndItsFigures) {
  v1::Experiment experiment = DemoExperiment(3, 1, 1);
  experiment.mutable_evaluation()->set_every(1);
  EngineHarness harness(experiment, {DemoLeg("maml")});
  harness.Join("a");
  // Validation prefers round 2; the test figures of round 2 are final although round 3's are
  // higher.
  harness.close = [](const RunWork& work) {
    RoundResult result;
    const v1::RoundPlan& plan = work.plan.message();
    double accuracy = 0.5;
    if (plan.has_evaluate()) {
      const bool test = plan.evaluate().part() == v1::PART_TEST;
      const double validation[] = {0, 0.6, 0.8, 0.7};
      const double tested[] = {0, 0.1, 0.2, 0.9};
      accuracy = (test ? tested : validation)[plan.key().round()];
    }
    result.metrics = Cells(MetricCells(plan), work.reported, 1, accuracy);
    return result;
  };
  harness.Run();
  const MethodSummary& main = harness.finish()->summary.main;
  EXPECT_EQ(main.best_round, 2U);
  EXPECT_DOUBLE_EQ(main.validation_score, 0.8);
  ASSERT_FALSE(main.cells.empty());
  EXPECT_DOUBLE_EQ(main.cells.front().accuracy_mean, 0.2);
  EXPECT_THAT(Checkpoints(harness),
              ElementsAre("checkpoint 0 round-1", "checkpoint 0 best", "checkpoint 0 round-2",
                          "checkpoint 0 best", "checkpoint 0 round-3", "checkpoint 0 final"));
}

TEST(ExperimentEngineTest, ChoosesTheBestLegOfEachMethod) {
  EngineHarness harness(DemoExperiment(1, 1, 1),
                        {DemoLeg("maml"), DemoLeg("maml-2"), DemoLeg("fedavg", false),
                         DemoLeg("fedavg-2", false), DemoLeg("fedavg-3", false)});
  harness.Join("a");
  const std::map<std::string, double> accuracy = {{"demo/maml", 0.7},
                                                  {"demo/maml-2", 0.6},
                                                  {"demo/fedavg", 0.4},
                                                  {"demo/fedavg-2", 0.5},
                                                  {"demo/fedavg-3", 0.5}};
  Score(harness, [&](const std::string& experiment_id, std::uint64_t) {
    return accuracy.at(experiment_id);
  });
  harness.Run();
  const RunSummary& summary = harness.finish()->summary;
  EXPECT_EQ(summary.main.leg, "maml");
  ASSERT_EQ(summary.baselines.size(), 1U);
  EXPECT_EQ(summary.baselines[0].method, "fedavg");
  EXPECT_EQ(summary.baselines[0].leg, "fedavg-2");  // of equal ones the earlier
  EXPECT_THAT(Checkpoints(harness),
              ElementsAre("checkpoint 0 maml-round-1", "checkpoint 0 best", "checkpoint 0 final",
                          "checkpoint 1 maml-2-round-1", "checkpoint 2 baseline-fedavg",
                          "checkpoint 3 baseline-fedavg"));
}

TEST(ExperimentEngineTest, CheckpointsSayWhichSettingsValidationChose) {
  EngineHarness harness(DemoExperiment(1, 1, 1), {DemoLeg("maml")});
  harness.Join("a");
  harness.close = [](const RunWork& work) {
    RoundResult result;
    result.metrics = Cells(MetricCells(work.plan.message()), work.reported, 1, 0.5);
    // Rate 0.2 (second) at 1 step (second): the last of 1 x 2 x 2 cells.
    if (work.plan.message().has_evaluate())
      result.metrics[3] = Cells(1, work.reported, 1, 0.75).front();
    return result;
  };
  harness.Run();
  for (const Instruction& instruction : harness.instructions) {
    if (const auto* checkpoint = std::get_if<ReportCheckpoint>(&instruction)) {
      EXPECT_EQ(checkpoint->metadata.at("tuned"),
                R"({"1":{"learning_rate":0.2,"steps":1,"by_steps":{"0":0.1,"1":0.2}}})");
      EXPECT_EQ(checkpoint->metadata.at("leg"), "maml");
      EXPECT_EQ(checkpoint->metadata.at("method"), "maml");
      EXPECT_EQ(checkpoint->metadata.at("round"), "1");
    }
  }
}

TEST(ExperimentEngineTest, PlansNameTheCommittedStateAndItsRound) {
  EngineHarness harness(DemoExperiment(2, 1, 1), {DemoLeg("maml")});
  harness.Join("a");
  std::vector<std::string> seen;
  harness.on_instruction = [&](const Instruction& instruction) {
    const auto* persist = std::get_if<Persist>(&instruction);
    if (persist == nullptr) return;
    if (persist->record != Record::kBeginAttempt) return;
    for (const char* name : {"state of maml", "state after 1", "state after 2"}) {
      if (persist->plan.state_hash() == Digest::Of(name)) {
        seen.push_back(std::string(name) +
                       (persist->plan.parent() ? " on " + persist->plan.parent()->ToString() : ""));
      }
    }
  };
  harness.Run();
  EXPECT_THAT(seen, ElementsAre("state of maml", "state after 1 on demo/maml train 1.1",
                                "state after 2 on demo/maml train 2.1",
                                "state after 2 on demo/maml train 2.1"));
}

TEST(ExperimentEngineTest, RecordsBytesAndNames) {
  EngineHarness harness(DemoExperiment(2, 2, 2), {DemoLeg("maml")});
  harness.Join("a");
  harness.Join("b");
  harness.Run();
  std::vector<RoundRecord> records;
  std::size_t plan_bytes = 0;
  for (const Instruction& instruction : harness.instructions) {
    if (const auto* round = std::get_if<ReportRound>(&instruction))
      records.push_back(round->record);
    const auto* plan = std::get_if<SendPlan>(&instruction);
    if (plan && plan->plan.key().round == 1 && plan->plan.message().has_train()) {
      plan_bytes = plan->plan.bytes().size();
    }
  }
  ASSERT_EQ(records.size(), 2U);
  EXPECT_THAT(records[0].cohort, ElementsAre("a", "b"));
  EXPECT_THAT(records[0].reported, ElementsAre("a", "b"));
  // Down: plan, state of 10 float32, once the assignment of 100 bytes. Up: 10 float32, weight and 8
  // sums as float64.
  EXPECT_EQ(records[0].bytes_down, 2 * (plan_bytes + 40 + 100));
  EXPECT_EQ(records[0].bytes_up, 2U * (40 + (1 + MetricSums::kSize) * 8));
  EXPECT_EQ(records[1].bytes_up, records[0].bytes_up);
  EXPECT_LT(records[1].bytes_down, records[0].bytes_down + 100);
}

TEST(ExperimentEngineTest, TheSameEventsGiveTheSameInstructions) {
  const auto run = [] {
    EngineHarness harness(DemoExperiment(4, 3, 2), {DemoLeg("maml"), DemoLeg("fedavg", false)});
    for (const char* name : {"e", "a", "d", "b", "c"}) harness.Join(name);
    harness.hostile = {"d"};
    harness.Run();
    return harness.Lines();
  };
  const auto first = run();
  EXPECT_EQ(run(), first);
  EXPECT_THAT(first.back(), HasSubstr("finish 0"));
}

}  // namespace
}  // namespace fedmeta
