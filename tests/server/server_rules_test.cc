#include "fedmeta/algorithms/server/server_rules.h"

#include <limits>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace fedmeta {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

/// Notes what it is asked to step and halves the mean.
class FakeOptimizer final : public ServerOptimizer {
 public:
  void Step(std::size_t first, std::span<float> state, std::span<const double> mean,
            std::uint64_t round) override {
    calls.push_back({first, state.size(), round});
    for (std::size_t i = 0; i < state.size(); ++i)
      state[i] = static_cast<float>(state[i] - mean[i] / 2);
  }
  Bytes Save() const override { return {}; }
  Status Restore(std::span<const std::byte>) override { return {}; }

  struct Call {
    std::size_t first, size;
    std::uint64_t round;
    bool operator==(const Call&) const = default;
  };
  std::vector<Call> calls;
};

StateLayout Layout() {
  const auto tensor = [](const char* name) {
    return std::vector<TensorSpec>{{name, {2}, TensorKind::kBody}};
  };
  return StateLayout::Create(
             {{.name = "buffers", .rule = ServerRule::kMean, .scale = 1, .tensors = tensor("mean")},
              {.name = "theta", .rule = ServerRule::kOptimize, .scale = 1, .tensors = tensor("w")},
              {.name = "control",
               .rule = ServerRule::kAccumulate,
               .scale = -0.5,
               .tensors = tensor("w")}})
      .value();
}

constexpr RoundOutcome kOutcome{.round = 3, .reported = 4, .population = 16};
const std::vector<float> kState = {1, 2, 3, 4, 5, 6};

TEST(ServerRulesTest, EachSegmentFollowsItsRule) {
  FakeOptimizer optimizer;
  std::vector<float> state = kState;
  ASSERT_TRUE(ApplyServerRules(Layout(), std::vector<double>{10, 20, 1, 2, 8, 16}, kOutcome,
                               optimizer, state)
                  .ok());
  // mean: the mean itself; optimize: 3 - 1 / 2, 4 - 2 / 2; accumulate: s - 0.5 x 4 / 16 x mean = 5
  // - 1, 6 - 2
  EXPECT_THAT(state, ElementsAre(10, 20, 2.5F, 3, 4, 4));
  EXPECT_THAT(optimizer.calls, ElementsAre(FakeOptimizer::Call{.first = 2, .size = 2, .round = 3}));
}

TEST(ServerRulesTest, NothingMovesASegmentThatAccumulatesWithScaleZero) {
  const StateLayout layout = StateLayout::Create({{.name = "statistics",
                                                   .rule = ServerRule::kAccumulate,
                                                   .scale = 0,
                                                   .tensors = {{"v", {2}, TensorKind::kBuffer}}}})
                                 .value();
  FakeOptimizer optimizer;
  std::vector<float> state = {0.1F, 3};
  ASSERT_TRUE(
      ApplyServerRules(layout, std::vector<double>{1e30, -5}, kOutcome, optimizer, state).ok());
  EXPECT_THAT(state, ElementsAre(0.1F, 3));
}

TEST(ServerRulesTest, AResultThatIsNotFiniteNamesItsTensorAndChangesNothing) {
  const double infinity = std::numeric_limits<double>::infinity();
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const std::vector<std::pair<std::size_t, std::string>> places = {
      {1, "buffers/mean"}, {2, "theta/w"}, {5, "control/w"}};
  for (const double value : {nan, infinity, -1e300}) {  // 1e300 is no float
    for (const auto& [at, name] : places) {
      FakeOptimizer optimizer;
      std::vector<float> state = kState;
      std::vector<double> mean = {10, 20, 1, 2, 8, 16};
      mean[at] = value;
      const Status status = ApplyServerRules(Layout(), mean, kOutcome, optimizer, state);
      ASSERT_FALSE(status.ok());
      EXPECT_THAT(status.error().message(), HasSubstr(name + " is no longer finite after round 3"));
      EXPECT_EQ(state, kState);
    }
  }
}

TEST(ServerRulesTest, AccumulatingNeedsAPopulation) {
  for (const RoundOutcome& outcome : {RoundOutcome{.round = 1, .reported = 0, .population = 0},
                                      RoundOutcome{.round = 1, .reported = 5, .population = 4}}) {
    FakeOptimizer optimizer;
    std::vector<float> state = kState;
    const Status status =
        ApplyServerRules(Layout(), std::vector<double>(6, 1), outcome, optimizer, state);
    ASSERT_FALSE(status.ok());
    EXPECT_THAT(status.error().message(), HasSubstr("reported must be at most population > 0"));
    EXPECT_EQ(state, kState);
    EXPECT_TRUE(optimizer.calls.empty());
  }
}

TEST(ServerRulesTest, OtherRulesDoNotAskForAPopulation) {
  const StateLayout layout = StateLayout::Create({{.name = "theta",
                                                   .rule = ServerRule::kOptimize,
                                                   .scale = 1,
                                                   .tensors = {{"w", {1}, TensorKind::kBody}}}})
                                 .value();
  FakeOptimizer optimizer;
  std::vector<float> state = {1};
  EXPECT_TRUE(ApplyServerRules(layout, std::vector<double>{1},
                               {.round = 1, .reported = 2, .population = 0}, optimizer, state)
                  .ok());
}

}  // namespace
}  // namespace fedmeta
