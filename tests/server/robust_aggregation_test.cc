// What all robust rules have in common: what they withstand, what they do not depend on, what they
// refuse.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "robust_round.h"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fedmeta/algorithms/server/robust_aggregator.h"

namespace fedmeta {
namespace {

using ::testing::Each;
using ::testing::HasSubstr;
using Vector = std::vector<double>;

class RobustRuleTest : public ::testing::TestWithParam<std::size_t> {
 protected:
  v1::Plugin WithF(std::uint32_t byzantine) const { return RobustRules(byzantine)[GetParam()]; }
  bool krum() const { return WithF(1).name().ends_with("krum"); }
  /// Fewest updates that withstand `byzantine`.
  std::size_t Fewest(std::size_t byzantine) const { return 2 * byzantine + (krum() ? 3 : 1); }
};

INSTANTIATE_TEST_SUITE_P(All, RobustRuleTest, ::testing::Range<std::size_t>(0, 6),
                         [](const auto& instance) {
                           return RobustRules(1)[instance.param].name();
                         });

TEST(RobustRules, AreAllThatAreRegistered) {
  std::vector<std::string> listed, registered;
  for (const v1::Plugin& rule : RobustRules(1)) listed.push_back(rule.name());
  const StateLayout layout = FlatLayout(1);
  for (const auto& [name, factory] : BuiltinServer().aggregations) {
    if (factory({}, {.layout = &layout}).value()->NeedsIndividualUpdates())
      registered.push_back(name);
  }
  EXPECT_THAT(listed, ::testing::UnorderedElementsAreArray(registered));
}

double Length(const Vector& vector) {
  return std::sqrt(std::inner_product(vector.begin(), vector.end(), vector.begin(), 0.0));
}

/// How far the result of `clients` honest updates of coordinates about 0 is from 0 when `poisoned`
/// of them are replaced by (size, size, ...).
double Moved(const v1::Plugin& choice, std::size_t clients, std::size_t poisoned, float size) {
  std::vector<Update> updates = RandomUpdates(clients, 40);
  for (std::size_t k = 0; k < poisoned; ++k) std::ranges::fill(updates[k], size);
  return Length(Aggregate(choice, updates));
}

/// An honest update is about sqrt(40) = 6.3 long.
TEST_P(RobustRuleTest, PoisonedUpdatesCannotMoveItFar) {
  for (const std::uint32_t byzantine : {1U, 2U, 4U}) {
    for (const float size : {-1e6F, 3.0F, 30.0F, 1e3F, 1e6F}) {
      EXPECT_LT(Moved(WithF(byzantine), Fewest(byzantine), byzantine, size), 15)
          << byzantine << " of " << Fewest(byzantine) << " send " << size;
    }
  }
}

TEST(WeightedMean, OnePoisonedUpdateMovesAsFarAsItLikes) {
  const v1::Plugin mean = Choice("weighted_mean", v1::WeightedMeanSettings());
  EXPECT_NEAR(Moved(mean, 9, 1, 1e6F), 1e6 / 9 * std::sqrt(40), 100);
}

/// More than half of the updates: no rule that treats clients alike can withstand that.
TEST_P(RobustRuleTest, AMajorityOfPoisonedUpdatesDecides) {
  const std::size_t clients = Fewest(2);
  EXPECT_GT(Moved(WithF(2), clients, clients - 1, 1e6F), 1e6);
}

TEST_P(RobustRuleTest, AllAgreeingItIsWhatTheySay) {
  const Update update = {0.5F, -3, 0, 1e-3F};
  const Vector mean = Aggregate(WithF(1), std::vector<Update>(7, update));
  for (std::size_t i = 0; i < update.size(); ++i) EXPECT_NEAR(mean[i], update[i], 0x1p-30);
}

TEST_P(RobustRuleTest, GivesTheSameBitsInAThousandOrders) {
  constexpr std::size_t kClients = 9;
  const StateLayout layout = FlatLayout(40);
  const std::vector<Update> updates = RandomUpdates(kClients, 40);
  RobustRound round(WithF(2), layout);
  std::vector<std::size_t> order(kClients);
  std::iota(order.begin(), order.end(), std::size_t{0});
  Rng rng({.seed = 2, .purpose = "order"});
  Vector first;
  for (int trial = 0; trial < 1000; ++trial) {
    for (const std::size_t k : order)
      ASSERT_TRUE(round.Add(k, updates[k], static_cast<double>(k) + 0.3).ok());
    const Vector mean = round.Close().value().mean;
    if (trial == 0) first = mean;
    ASSERT_EQ(mean, first);
    rng.Shuffle(std::span(order));
  }
}

TEST_P(RobustRuleTest, AWeightThatAClientNamesChangesNothing) {
  const StateLayout layout = FlatLayout(40);
  const std::vector<Update> updates = RandomUpdates(9, 40);
  RobustRound round(WithF(2), layout);
  for (std::size_t k = 0; k < 9; ++k) ASSERT_TRUE(round.Add(k, updates[k], k == 4 ? 512 : 1).ok());
  EXPECT_EQ(round.Close().value().mean, Aggregate(WithF(2), updates));
}

TEST_P(RobustRuleTest, MetricSumsAreThoseOfAll) {
  const StateLayout layout = FlatLayout(2);
  RobustRound round(WithF(1), layout);
  for (std::size_t k = 0; k < 6; ++k) ASSERT_TRUE(round.Add(k, {1, 2}, 3).ok());
  const DecodedSum sum = round.Close().value();
  EXPECT_EQ(sum.contributors, 6U);
  EXPECT_EQ(sum.metrics.front().examples, 1 + 2 + 3 + 4 + 5 + 6);
}

/// theta, an average, theta's step sizes, control variates: in parts of the rule each.
StateLayout MixedLayout() {
  const auto segment = [](const std::string& name, ServerRule rule) {
    return Segment{.name = name, .rule = rule, .tensors = {{.name = name, .shape = {2}}}};
  };
  return StateLayout::Create(
             {segment("theta", ServerRule::kOptimize), segment("running", ServerRule::kMean),
              segment("alpha", ServerRule::kOptimize), segment("c", ServerRule::kAccumulate)})
      .value();
}

TEST_P(RobustRuleTest, SegmentsOfARuleAreOneVectorAndOthersAnother) {
  const StateLayout layout = MixedLayout();
  const std::vector<Update> updates = RandomUpdates(9, 8);
  RobustRound round(WithF(2), layout);
  for (std::size_t k = 0; k < 9; ++k) ASSERT_TRUE(round.Add(k, updates[k]).ok());
  const Vector mean = round.Close().value().mean;

  const auto of = [&](std::initializer_list<std::size_t> places, const v1::Plugin& choice) {
    std::vector<Update> parts(9);
    for (std::size_t k = 0; k < 9; ++k) {
      for (const std::size_t place : places) parts[k].push_back(updates[k][place]);
    }
    return Aggregate(choice, parts);
  };
  const auto at = [&](std::initializer_list<std::size_t> places) {
    Vector values;
    for (const std::size_t place : places) values.push_back(mean[place]);
    return values;
  };
  EXPECT_EQ(at({0, 1, 4, 5}), of({0, 1, 4, 5}, WithF(2)));
  EXPECT_EQ(at({6, 7}), of({6, 7}, WithF(2)));
  // The length of an average says nothing.
  const v1::Plugin averages = WithF(2).name() == "norm_bound" ? RobustRules(2)[0] : WithF(2);
  EXPECT_EQ(at({2, 3}), of({2, 3}, averages));
}

TEST_P(RobustRuleTest, RefusesFewerThanItNeeds) {
  const StateLayout layout = FlatLayout(1);
  for (const std::uint32_t byzantine : {0U, 1U, 3U}) {
    RobustRound round(WithF(byzantine), layout);
    for (std::size_t k = 0; k + 1 < Fewest(byzantine); ++k) ASSERT_TRUE(round.Add(k, {1}).ok());
    const Result<DecodedSum> closed = round.Close();
    ASSERT_FALSE(closed.ok());
    EXPECT_EQ(closed.error().code(), ErrorCode::kFailedPrecondition);
    EXPECT_THAT(closed.error().message(),
                HasSubstr("needs at least " + std::to_string(Fewest(byzantine))));
    for (std::size_t k = 0; k < Fewest(byzantine); ++k) ASSERT_TRUE(round.Add(k, {1}).ok());
    EXPECT_THAT(round.Close().value().mean, Each(1));
  }
}

TEST_P(RobustRuleTest, RefusesWhatItCannotTakeAndKeepsTheOthers) {
  const StateLayout layout = FlatLayout(2);
  RobustRound round(WithF(1), layout);
  for (std::size_t k = 0; k < 5; ++k) ASSERT_TRUE(round.Add(k, {1, 2}).ok());
  EXPECT_THAT(round.Add(2, {1, 2}).error().message(), HasSubstr("second contribution of site-2"));
  // Small enough times its weight for the codec.
  EXPECT_THAT(round.Add(7, {0, 2e7F}, 1e-3).error().message(), HasSubstr("theta/w must be at"));
  EXPECT_THAT(
      round.aggregator().Add(ClientId("site-8"), std::vector<std::uint64_t>(3)).error().message(),
      HasSubstr("must have 48 words, got 3"));  // 2 + weight + 45 metric sums
  EXPECT_THAT(
      round.aggregator().Add(ClientId("site-8"), std::vector<std::uint64_t>(48)).error().message(),
      HasSubstr("weight"));
  EXPECT_EQ(round.aggregator().Merge({.coordinates = {1}, .contributors = 1}).error().code(),
            ErrorCode::kFailedPrecondition);
  EXPECT_EQ(round.Close().value().contributors, 5U);
}

TEST_P(RobustRuleTest, StartsAnewAfterReset) {
  const StateLayout layout = FlatLayout(1);
  RobustRound round(WithF(1), layout);
  for (std::size_t k = 0; k < 5; ++k) ASSERT_TRUE(round.Add(k, {9}).ok());
  round.aggregator().Reset();
  for (std::size_t k = 0; k < 6; ++k) ASSERT_TRUE(round.Add(k, {1}).ok());
  const DecodedSum sum = round.Close().value();
  EXPECT_THAT(sum.mean, Each(1));
  EXPECT_EQ(sum.contributors, 6U);
}

TEST_P(RobustRuleTest, RefusesToBeMadeWithoutUpdates) {
  EXPECT_FALSE(MakeAggregator(BuiltinServer(), WithF(1), {}).ok());
}

}  // namespace
}  // namespace fedmeta
