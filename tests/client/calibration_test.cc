#include "fedmeta/client/calibration.h"

#include <cmath>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fedmeta/core/rng.h"

namespace fedmeta {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

/// Outputs (0, z) whose label is 1 with probability 1 / (1 + exp(-(slope z + shift))), in 5 folds.
HeldOutOutputs Drawn(std::size_t count, double slope, double shift, std::uint64_t seed = 1) {
  Rng rng({.seed = seed, .purpose = "calibration"});
  HeldOutOutputs held_out{.outputs = 2};
  for (std::size_t i = 0; i < count; ++i) {
    const double z = 4 * rng.Normal();
    held_out.values.insert(held_out.values.end(), {0, z});
    held_out.labels.push_back(rng.Uniform() < 1 / (1 + std::exp(-(slope * z + shift))) ? 1 : 0);
    held_out.fold.push_back(i % 5);
  }
  return held_out;
}

TEST(CalibrationTest, TemperatureAndInterceptOfTheLabelsAreFound) {
  std::string reason;
  const Calibration found = FitCalibration(Drawn(20'000, 0.25, 1), reason);
  // Standard errors are about 2 % here.
  EXPECT_NEAR(1 / found.temperature, 0.25, 0.02);
  ASSERT_EQ(found.intercepts.size(), 2U);
  EXPECT_NEAR(found.intercepts[1] - found.intercepts[0], 1, 0.1);
  EXPECT_THAT(reason, HasSubstr("fitted"));
}

TEST(CalibrationTest, LogLossFalls) {
  const HeldOutOutputs held_out = Drawn(300, 0.25, 1);
  std::string reason;
  EXPECT_LT(LogLoss(held_out, FitCalibration(held_out, reason)), LogLoss(held_out, {}));
}

TEST(CalibrationTest, WhatIsCalibratedStaysAsItIs) {
  int changed = 0;
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    std::string reason;
    const HeldOutOutputs held_out = Drawn(40, 1, 0, seed);
    const Calibration found = FitCalibration(held_out, reason);
    changed += found.changes() ? 1 : 0;
    if (!found.changes()) {
      EXPECT_THAT(reason, HasSubstr("would not lower"));
    }
  }
  EXPECT_LT(changed, 12) << "without the check on left-out folds it would be all of them";
}

TEST(CalibrationTest, TooFewPredictionsOrOneClassGiveNone) {
  std::string reason;
  EXPECT_FALSE(FitCalibration(Drawn(19, 0.25, 3), reason).changes());
  EXPECT_THAT(reason, HasSubstr("too few"));
  HeldOutOutputs one_class = Drawn(100, 0.25, 3);
  one_class.labels.assign(100, 1);
  EXPECT_FALSE(FitCalibration(one_class, reason).changes());
  EXPECT_FALSE(FitCalibration(HeldOutOutputs(), reason).changes());
}

TEST(CalibrationTest, ManyOutputsHaveATemperatureAlone) {
  Rng rng({.seed = 2, .purpose = "many"});
  HeldOutOutputs held_out{.outputs = 25};
  for (std::size_t i = 0; i < 200; ++i) {
    for (std::size_t k = 0; k < 25; ++k) held_out.values.push_back(10 * rng.Normal());
    held_out.labels.push_back(static_cast<std::int64_t>(rng.Below(25)));
    held_out.fold.push_back(i % 5);
  }
  std::string reason;
  const Calibration found = FitCalibration(held_out, reason);
  EXPECT_THAT(found.intercepts, IsEmpty());
  EXPECT_GT(found.temperature, 3) << "outputs that say nothing are made small";
}

}  // namespace
}  // namespace fedmeta
