#include "fedmeta/algorithms/server/learning_rate_schedule.h"

#include <limits>

#include <gtest/gtest.h>

namespace fedmeta {
namespace {

LearningRateSchedule Make(const std::string& name, std::uint64_t rounds = 4) {
  return LearningRateSchedule::Create(name, 2, rounds).value();
}

TEST(LearningRateScheduleTest, ConstantStays) {
  EXPECT_EQ(Make("constant").At(1), 2);
  EXPECT_EQ(Make("constant").At(4), 2);
}

TEST(LearningRateScheduleTest, LinearFallsByEqualSteps) {
  const auto schedule = Make("linear");  // 2 (1 - (r - 1) / 4)
  EXPECT_DOUBLE_EQ(schedule.At(1), 2);
  EXPECT_DOUBLE_EQ(schedule.At(2), 1.5);
  EXPECT_DOUBLE_EQ(schedule.At(3), 1);
  EXPECT_DOUBLE_EQ(schedule.At(4), 0.5);
}

TEST(LearningRateScheduleTest, CosineFallsAlongHalfAWave) {
  const auto schedule = Make("cosine");  // 1 + cos(pi (r - 1) / 4)
  EXPECT_DOUBLE_EQ(schedule.At(1), 2);
  EXPECT_DOUBLE_EQ(schedule.At(2), 1 + 0.7071067811865476);  // cos(pi / 4)
  EXPECT_DOUBLE_EQ(schedule.At(3), 1);
  EXPECT_DOUBLE_EQ(schedule.At(4), 1 - 0.7071067811865476);
}

TEST(LearningRateScheduleTest, RoundsOutsideTheExperimentTakeTheNearestOne) {
  for (const char* name : {"constant", "linear", "cosine"}) {
    const auto schedule = Make(name);
    EXPECT_EQ(schedule.At(0), schedule.At(1)) << name;
    EXPECT_EQ(schedule.At(99), schedule.At(4)) << name;
    EXPECT_EQ(Make(name, 0).At(1), 2) << name;
  }
}

TEST(LearningRateScheduleTest, RefusesAnUnknownNameAndARateThatIsNotPositive) {
  EXPECT_EQ(LearningRateSchedule::Create("step", 1, 4).error().message(),
            "learning_rate_schedule must be constant, linear or cosine, got 'step'");
  for (const double rate : {0.0, -0.1, std::numeric_limits<double>::infinity(),
                            std::numeric_limits<double>::quiet_NaN()}) {
    EXPECT_FALSE(LearningRateSchedule::Create("constant", rate, 4).ok()) << rate;
  }
  EXPECT_EQ(LearningRateSchedule::Create("constant", -0.1, 4).error().message(),
            "learning_rate must be finite and > 0, got -0.1");
}

}  // namespace
}  // namespace fedmeta
