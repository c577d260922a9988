#include "fedmeta/coordinator/experiment_engine.h"

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
      ElementsAre("leg 0", "persist begin demo/maml train 1.1", "plan a,b demo/maml train 1.1",
                  "timer at 60000", "add a", "add b", "sum of 2 demo/maml train 1.1",
                  "persist commit demo/maml train 1.1", "close a,b demo/maml train 1.1 counted",
                  "round maml 1.1 committed", "persist begin demo/maml evaluate 1.1",
                  "plan a,b demo/maml evaluate 1.1", "timer at 60000", "add a", "add b",
                  "sum of 2 demo/maml evaluate 1.1", "close a,b demo/maml evaluate 1.1 counted",
                  "evaluation maml 1 validation", "checkpoint 0 round-1", "checkpoint 0 best",
                  "persist begin demo/maml evaluate 1.2", "plan a,b demo/maml evaluate 1.2",
                  "timer at 60000", "add a", "add b", "sum of 2 demo/maml evaluate 1.2",
                  "close a,b demo/maml evaluate 1.2 counted", "evaluation maml 1 test",
                  "checkpoint 0 final", "finish 0"));
  ASSERT_NE(harness.finish(), nullptr);
  EXPECT_TRUE(harness.finish()->status.ok());
  EXPECT_EQ(harness.finish()->summary.rounds, 1U);
  EXPECT_EQ(harness.finish()->summary.reports, 2U);
  EXPECT_TRUE(harness.engine().finished());
}

}  // namespace
}  // namespace fedmeta
