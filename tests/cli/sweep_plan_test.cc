#include "fedmeta/cli/sweep_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace fedmeta {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::vector<SweepRun> Planned(const std::vector<std::string>& arguments) {
  const auto runs = PlanSweep(arguments);
  EXPECT_TRUE(runs.ok()) << runs.error().message();
  return runs.ok() ? *runs : std::vector<SweepRun>();
}
std::string Refusal(const std::vector<std::string>& arguments) {
  const auto runs = PlanSweep(arguments);
  return runs.ok() ? "planned" : runs.error().message();
}

TEST(SweepPlanTest, IsTheProductWithTheFirstKeySlowest) {
  const auto runs = Planned({"seed=1..2", "algorithm.name=maml,reptile", "federation.rounds=9"});
  ASSERT_EQ(runs.size(), 4U);
  EXPECT_EQ(runs[0].name, "seed=1,name=maml");
  EXPECT_EQ(runs[1].name, "seed=1,name=reptile");
  EXPECT_EQ(runs[3].name, "seed=2,name=reptile");
  EXPECT_THAT(runs[3].overrides,
              ElementsAre("seed=2", "algorithm.name=reptile", "federation.rounds=9"));
}

TEST(SweepPlanTest, CommasWithinBracketsAndQuotesBelongToAValue) {
  const auto runs = Planned(
      {"data.partition.holdout_sites=[va],[va, cleveland]", "name='a,b'", "x={y: 1, z: 2}"});
  ASSERT_EQ(runs.size(), 2U);
  EXPECT_EQ(runs[0].name, "holdout_sites=va");
  EXPECT_EQ(runs[1].name, "holdout_sites=va+cleveland");
  EXPECT_THAT(runs[1].overrides, ElementsAre("data.partition.holdout_sites=[va, cleveland]",
                                             "name='a,b'", "x={y: 1, z: 2}"));
}

TEST(SweepPlanTest, WithoutAxesIsOneRun) {
  EXPECT_THAT(Planned({"seed=3"}).front().overrides, ElementsAre("seed=3"));
  EXPECT_EQ(Planned({}).front().name, "run");
}

TEST(SweepPlanTest, TextWithDotsIsNoRange) {
  EXPECT_EQ(Planned({"model.initial=../first"}).front().overrides.front(),
            "model.initial=../first");
}

TEST(SweepPlanTest, RefusesWhatIsNoSweep) {
  EXPECT_THAT(Refusal({"seed"}), HasSubstr("must be key.path=value,value"));
  EXPECT_THAT(Refusal({"seed=1,,2"}), HasSubstr("has an empty value"));
  EXPECT_THAT(Refusal({"seed=5..2"}), HasSubstr("a range must ascend"));
  EXPECT_THAT(Refusal({"seed=1..900", "federation.rounds=1..900"}), HasSubstr("makes more than"));
  EXPECT_THAT(Refusal({"seed=1,1"}), HasSubstr("would be called 'seed=1'"));
}

}  // namespace
}  // namespace fedmeta
