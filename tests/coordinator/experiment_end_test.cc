// How an experiment ends other than by completing.
#include "engine_harness.h"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fedmeta/coordinator/experiment_engine.h"

namespace fedmeta {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(ExperimentEndTest, CancelBeforeTheStartFinishesAtOnce) {
  EngineHarness harness(DemoExperiment(1, 1, 1), {DemoLeg("maml")});
  harness.Give(CancelAsked{"stop", false});
  harness.Run();
  EXPECT_EQ(harness.finish()->summary.status, RunStatus::kCancelled);
}

TEST(ExperimentEndTest, CancelWhileWaitingFinishesAtOnce) {
  EngineHarness harness(DemoExperiment(1, 2, 1), {DemoLeg("maml")});
  harness.Run(0);
  harness.Give(CancelAsked{"Ctrl-C", true});
  ASSERT_NE(harness.finish(), nullptr);
  EXPECT_EQ(harness.finish()->summary.status, RunStatus::kInterrupted);
  EXPECT_EQ(ExitCode(harness.finish()->status.error()), 130);
}

TEST(ExperimentEndTest, CancelAtAnyEventEndsWithASummary) {
  // However many events have passed, the run ends soon, with a summary and without a further round.
  for (std::size_t steps = 0; steps < 40; ++steps) {
    v1::Experiment experiment = DemoExperiment(3, 2, 2);
    experiment.mutable_evaluation()->set_every(1);
    EngineHarness harness(experiment, {DemoLeg("maml")});
    harness.Join("a");
    harness.Join("b");
    harness.Run(steps);
    if (harness.engine().finished()) break;
    const std::size_t begun = harness.LinesWith("persist begin").size();
    harness.Give(CancelAsked{"Ctrl-C", true});
    harness.Run();
    ASSERT_NE(harness.finish(), nullptr) << steps;
    EXPECT_EQ(harness.finish()->summary.status, RunStatus::kInterrupted) << steps;
    EXPECT_EQ(harness.LinesWith("persist begin").size(), begun) << steps;
    EXPECT_EQ(harness.finish()->summary.rounds, harness.LinesWith("persist commit").size())
        << steps;
  }
}

TEST(ExperimentEndTest, AStoreErrorFailsTheRunAsEnvironment) {
  for (const Record record : {Record::kBeginAttempt, Record::kCommitRound}) {
    EngineHarness harness(DemoExperiment(2, 1, 1), {DemoLeg("maml")});
    harness.Join("a");
    harness.failing = {record};
    harness.Run();
    ASSERT_NE(harness.finish(), nullptr);
    EXPECT_EQ(harness.finish()->summary.status, RunStatus::kFailed);
    EXPECT_EQ(ExitCode(harness.finish()->status.error()), 1);
    EXPECT_EQ(harness.finish()->summary.reason, "demo/maml round 1: disk full");
  }
}

TEST(ExperimentEndTest, ADriverErrorEndsTheRunAndTellsClients) {
  EngineHarness harness(DemoExperiment(2, 1, 1), {DemoLeg("maml")});
  harness.Join("a");
  harness.Run(1);
  harness.Give(DriverFailed{Error(ErrorCode::kInternal, "disk full")});
  ASSERT_NE(harness.finish(), nullptr);
  EXPECT_EQ(harness.finish()->status.error().code(), ErrorCode::kInternal);
  EXPECT_THAT(harness.LinesWith("close"),
              ElementsAre("close a demo/maml train 1.1 not counted: disk full"));
}

TEST(ExperimentEndTest, NothingFollowsTheEnd) {
  EngineHarness harness(DemoExperiment(1, 1, 1), {DemoLeg("maml")});
  harness.Join("a");
  harness.Run();
  EXPECT_THAT(harness.engine().Handle(ClientJoined{ClientId("b"), v1::ROLE_TRAIN}, {}), IsEmpty());
}

}  // namespace
}  // namespace fedmeta
