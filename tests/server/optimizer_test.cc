#include <cmath>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fedmeta/algorithms/server/server_registry.h"
#include "fedmeta/core/rng.h"
#include "fedmeta/v1/server.pb.h"

namespace fedmeta {
namespace {

using ::testing::HasSubstr;

constexpr OptimizerContext kContext{.coordinates = 2, .rounds = 4};

template <typename Settings>
std::unique_ptr<ServerOptimizer> Make(const std::string& name, const Settings& settings,
                                      const OptimizerContext& context = kContext) {
  v1::Plugin choice;
  choice.set_name(name);
  choice.mutable_settings()->PackFrom(settings);
  return MakeOptimizer(BuiltinServer(), choice, context).value();
}
std::unique_ptr<ServerOptimizer> MakeDefault(const std::string& name,
                                             const OptimizerContext& context = kContext) {
  v1::Plugin choice;
  choice.set_name(name);
  return MakeOptimizer(BuiltinServer(), choice, context).value();
}

/// s = {1, -1}; means {0.5, -2} then {0.25, 1} over two rounds.
struct TwoSteps {
  explicit TwoSteps(ServerOptimizer& optimizer) {
    optimizer.Step(0, state, std::vector<double>{0.5, -2}, 1);
    first = state;
    optimizer.Step(0, state, std::vector<double>{0.25, 1}, 2);
  }
  std::vector<float> state = {1, -1};
  std::vector<float> first;
};

TEST(SgdTest, MatchesTwoStepsByHand) {
  v1::SgdSettings settings;
  settings.set_learning_rate(0.1);
  const TwoSteps steps(*Make("sgd", settings));
  EXPECT_FLOAT_EQ(steps.first[0], 0.95F);   // 1 - 0.1 x 0.5
  EXPECT_FLOAT_EQ(steps.first[1], -0.8F);   // -1 + 0.1 x 2
  EXPECT_FLOAT_EQ(steps.state[0], 0.925F);  // 0.95 - 0.1 x 0.25
  EXPECT_FLOAT_EQ(steps.state[1], -0.9F);   // -0.8 - 0.1 x 1
}

TEST(SgdTest, FollowsItsSchedule) {
  v1::SgdSettings settings;
  settings.set_learning_rate(0.1);
  settings.set_learning_rate_schedule("linear");  // rates 0.1 and 0.075
  const TwoSteps steps(*Make("sgd", settings));
  EXPECT_FLOAT_EQ(steps.state[0], 0.93125F);  // 0.95 - 0.075 x 0.25
}

TEST(MomentumTest, MatchesTwoStepsByHand) {
  v1::MomentumSettings settings;
  settings.set_learning_rate(0.1);
  settings.set_momentum(0.9);
  const TwoSteps steps(*Make("momentum", settings));
  EXPECT_FLOAT_EQ(steps.first[0], 0.95F);   // m = 0.5
  EXPECT_FLOAT_EQ(steps.first[1], -0.8F);   // m = -2
  EXPECT_FLOAT_EQ(steps.state[0], 0.88F);   // m = 0.9 x 0.5 + 0.25 = 0.7;   0.95 - 0.07
  EXPECT_FLOAT_EQ(steps.state[1], -0.72F);  // m = 0.9 x -2 + 1 = -0.8;     -0.8 + 0.08
}

// b1 = 0.9, b2 = 0.99, epsilon = 0.01, rate 0.1.
// Round 1: corrections 1 - b = 0.1 and 0.01, so m' = mean, v' = mean^2.
//   0: 1 - 0.1 x 0.5 / (0.5 + 0.01)
//   1: -1 + 0.1 x 2 / (2 + 0.01)
// Round 2: corrections 1 - 0.81 = 0.19 and 1 - 0.9801 = 0.0199.
//   0: m = 0.9 x 0.05 + 0.1 x 0.25 = 0.07;   v = 0.99 x 0.0025 + 0.01 x 0.0625 = 0.0031
//   1: m = 0.9 x -0.2 + 0.1 x 1 = -0.08;     v = 0.99 x 0.04 + 0.01 x 1 = 0.0496
TEST(AdamTest, MatchesTwoStepsByHand) {
  v1::AdamSettings settings;
  settings.set_learning_rate(0.1);
  settings.set_beta1(0.9);
  settings.set_beta2(0.99);
  settings.set_epsilon(0.01);
  const TwoSteps steps(*Make("adam", settings));
  const double first0 = 1 - 0.1 * 0.5 / 0.51;
  const double first1 = -1 + 0.1 * 2 / 2.01;
  EXPECT_FLOAT_EQ(steps.first[0], static_cast<float>(first0));
  EXPECT_FLOAT_EQ(steps.first[1], static_cast<float>(first1));
  EXPECT_FLOAT_EQ(
      steps.state[0],
      static_cast<float>(first0 - 0.1 * (0.07 / 0.19) / (std::sqrt(0.0031 / 0.0199) + 0.01)));
  EXPECT_FLOAT_EQ(
      steps.state[1],
      static_cast<float>(first1 + 0.1 * (0.08 / 0.19) / (std::sqrt(0.0496 / 0.0199) + 0.01)));
}

// b1 = 0.9, b2 = 0.99, epsilon = 0.1, rate 0.1; v starts at 0.01.
// Round 1:
//   0: m = 0.05;  v = 0.01 + 0.01 x 0.25 = 0.0125      (0.01 < 0.25: v grows)
//   1: m = -0.2;  v = 0.01 + 0.01 x 4 = 0.05
// Round 2:
//   0: m = 0.07;  v = 0.0125 + 0.01 x 0.0625 = 0.013125
//   1: m = -0.08; v = 0.05 + 0.01 x 1 = 0.06
TEST(YogiTest, MatchesTwoStepsByHand) {
  v1::YogiSettings settings;
  settings.set_learning_rate(0.1);
  settings.set_beta1(0.9);
  settings.set_beta2(0.99);
  settings.set_epsilon(0.1);
  const TwoSteps steps(*Make("yogi", settings));
  const double first0 = 1 - 0.1 * 0.05 / (std::sqrt(0.0125) + 0.1);
  const double first1 = -1 + 0.1 * 0.2 / (std::sqrt(0.05) + 0.1);
  EXPECT_FLOAT_EQ(steps.first[0], static_cast<float>(first0));
  EXPECT_FLOAT_EQ(steps.first[1], static_cast<float>(first1));
  EXPECT_FLOAT_EQ(steps.state[0],
                  static_cast<float>(first0 - 0.1 * 0.07 / (std::sqrt(0.013125) + 0.1)));
  EXPECT_FLOAT_EQ(steps.state[1],
                  static_cast<float>(first1 + 0.1 * 0.08 / (std::sqrt(0.06) + 0.1)));
}

// Where Yogi differs from Adam: v above mean^2 falls by (1 - b2) mean^2 only. epsilon = 1, so v = 1
// before round 1; mean 0.1: v = 1 - 0.01 x 0.01 = 0.9999 (Adam's rule would give 0.9901).
TEST(YogiTest, LetsTheSecondMomentFallSlowly) {
  v1::YogiSettings settings;
  settings.set_learning_rate(1);
  settings.set_beta1(0);
  settings.set_beta2(0.99);
  settings.set_epsilon(1);
  std::vector<float> state = {0};
  Make("yogi", settings)->Step(0, state, std::vector<double>{0.1}, 1);
  EXPECT_FLOAT_EQ(state[0], static_cast<float>(-0.1 / (std::sqrt(0.9999) + 1)));
}

// epsilon = 0.1, rate 0.1; v starts at 0.01.
//   0: v = 0.01 + 0.25 = 0.26, then 0.26 + 0.0625 = 0.3225
//   1: v = 0.01 + 4 = 4.01, then 4.01 + 1 = 5.01
TEST(AdagradTest, MatchesTwoStepsByHand) {
  v1::AdagradSettings settings;
  settings.set_learning_rate(0.1);
  settings.set_epsilon(0.1);
  const TwoSteps steps(*Make("adagrad", settings));
  const double first0 = 1 - 0.1 * 0.5 / (std::sqrt(0.26) + 0.1);
  const double first1 = -1 + 0.1 * 2 / (std::sqrt(4.01) + 0.1);
  EXPECT_FLOAT_EQ(steps.first[0], static_cast<float>(first0));
  EXPECT_FLOAT_EQ(steps.first[1], static_cast<float>(first1));
  EXPECT_FLOAT_EQ(steps.state[0],
                  static_cast<float>(first0 - 0.1 * 0.25 / (std::sqrt(0.3225) + 0.1)));
  EXPECT_FLOAT_EQ(steps.state[1], static_cast<float>(first1 - 0.1 * 1 / (std::sqrt(5.01) + 0.1)));
}

/// What every optimiser of the registry promises.
class OptimizerTest : public ::testing::TestWithParam<std::string> {};
std::vector<std::string> Names() {
  std::vector<std::string> names;
  for (const auto& [name, factory] : BuiltinServer().optimizers) names.push_back(name);
  return names;
}
INSTANTIATE_TEST_SUITE_P(All, OptimizerTest, ::testing::ValuesIn(Names()),
                         [](const auto& instance) { return instance.param; });

constexpr std::size_t kSize = 37;
constexpr OptimizerContext kLarge{.coordinates = kSize, .rounds = 10};

std::vector<double> RandomMean(std::uint64_t round) {
  Rng rng({.seed = 1, .purpose = "mean", .client = "", .round = round});
  std::vector<double> mean(kSize);
  for (double& value : mean) value = rng.Normal();
  return mean;
}

TEST_P(OptimizerTest, GoesAgainstTheMean) {
  std::vector<float> state = {0, 0};
  MakeDefault(GetParam())->Step(0, state, std::vector<double>{1, -1}, 1);
  EXPECT_LT(state[0], 0);
  EXPECT_GT(state[1], 0);
}

TEST_P(OptimizerTest, ContinuesBitEquallyAfterSaveAndRestore) {
  const auto whole = MakeDefault(GetParam(), kLarge);
  std::vector<float> expected(kSize, 1);
  for (std::uint64_t round = 1; round <= 6; ++round)
    whole->Step(0, expected, RandomMean(round), round);

  const auto before = MakeDefault(GetParam(), kLarge);
  std::vector<float> state(kSize, 1);
  for (std::uint64_t round = 1; round <= 3; ++round)
    before->Step(0, state, RandomMean(round), round);
  const auto after = MakeDefault(GetParam(), kLarge);
  std::vector<float> elsewhere(kSize, 1);
  after->Step(0, elsewhere, RandomMean(9), 9);  // what it learned before Restore is forgotten
  ASSERT_TRUE(after->Restore(before->Save()).ok());
  EXPECT_EQ(after->Save(), before->Save());
  for (std::uint64_t round = 4; round <= 6; ++round)
    after->Step(0, state, RandomMean(round), round);
  EXPECT_EQ(state, expected);
  EXPECT_EQ(after->Save(), whole->Save());
}

TEST_P(OptimizerTest, SegmentsSteppedApartGiveTheBitsOfOneStep) {
  const auto whole = MakeDefault(GetParam(), kLarge);
  const auto apart = MakeDefault(GetParam(), kLarge);
  std::vector<float> expected(kSize, 1);
  std::vector<float> state(kSize, 1);
  for (std::uint64_t round = 1; round <= 3; ++round) {
    const std::vector<double> mean = RandomMean(round);
    whole->Step(0, expected, mean, round);
    apart->Step(10, std::span(state).subspan(10), std::span(mean).subspan(10), round);
    apart->Step(0, std::span(state).first(10), std::span(mean).first(10), round);
  }
  EXPECT_EQ(state, expected);
}

TEST_P(OptimizerTest, RefusesWhatItDidNotSaveAndStaysAsItWas) {
  const auto optimizer = MakeDefault(GetParam(), kLarge);
  std::vector<float> state(kSize, 1);
  optimizer->Step(0, state, RandomMean(1), 1);
  const Bytes saved = optimizer->Save();
  Bytes longer = saved;
  longer.push_back(std::byte{0});
  const Bytes shorter(saved.begin(), saved.end() - 1);
  const Bytes of_another_layout = MakeDefault(GetParam())->Save();
  for (const Bytes& bad : {Bytes{}, longer, shorter, of_another_layout}) {
    EXPECT_FALSE(optimizer->Restore(bad).ok());
    EXPECT_EQ(optimizer->Save(), saved);
  }
}

TEST(OptimizerRestoreTest, RefusesTheMomentsOfAnotherOptimizer) {
  const Status status = MakeDefault("adam")->Restore(MakeDefault("yogi")->Save());
  ASSERT_FALSE(status.ok());
  EXPECT_THAT(status.error().message(), HasSubstr("must start with 'fedmeta moments 1 adam 2 2'"));
}

TEST(OptimizerRestoreTest, RefusesMomentsThatAreNotFinite) {
  const auto optimizer = MakeDefault("momentum");
  Bytes saved = optimizer->Save();
  std::fill(saved.end() - 8, saved.end(), std::byte{0xff});  // a NaN
  EXPECT_THAT(optimizer->Restore(saved).error().message(), HasSubstr("not finite"));
}

}  // namespace
}  // namespace fedmeta
