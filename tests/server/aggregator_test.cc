#include "fedmeta/algorithms/server/aggregator.h"

#include <numeric>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fedmeta/algorithms/server/server_registry.h"
#include "fedmeta/core/rng.h"

namespace fedmeta {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Words = std::vector<std::uint64_t>;

const ClientId kClient("site-1");

/// Every aggregation of the registry that adds, as a new entry is tested by being listed.
class AggregatorTest : public ::testing::TestWithParam<std::string> {
 protected:
  std::unique_ptr<Aggregator> Make() const {
    v1::Plugin choice;
    choice.set_name(GetParam());
    return MakeAggregator(BuiltinServer(), choice, {}).value();
  }
};

std::vector<std::string> Names() {
  std::vector<std::string> names;
  for (const auto& [name, factory] : BuiltinServer().aggregations) {
    const auto made = factory({}, {});
    if (made.ok() && !(*made)->NeedsIndividualUpdates()) names.push_back(name);
  }
  return names;
}
INSTANTIATE_TEST_SUITE_P(All, AggregatorTest, ::testing::ValuesIn(Names()),
                         [](const auto& instance) { return instance.param; });

std::vector<Words> RandomContributions(std::size_t clients, std::size_t words) {
  Rng rng({.seed = 1, .purpose = "test"});
  std::vector<Words> contributions(clients, Words(words));
  for (Words& contribution : contributions) {
    for (std::uint64_t& word : contribution) word = rng.Next64();  // all 64 bits: sums wrap
  }
  return contributions;
}

Words SumInOrder(Aggregator& aggregator, const std::vector<Words>& contributions,
                 std::span<const std::size_t> order) {
  for (const std::size_t client : order)
    EXPECT_TRUE(aggregator.Add(kClient, contributions[client]).ok());
  return aggregator.Finish().value().coordinates;
}

TEST_P(AggregatorTest, AddsModulo64Bits) {
  const auto aggregator = Make();
  ASSERT_TRUE(aggregator->Add(kClient, Words{1, ~std::uint64_t{0}}).ok());
  ASSERT_TRUE(aggregator->Add(kClient, Words{2, 3}).ok());
  const PartialSum sum = aggregator->Finish().value();
  EXPECT_THAT(sum.coordinates, ElementsAre(3, 2));  // -1 + 3 = 2
  EXPECT_EQ(sum.contributors, 2U);
}

TEST_P(AggregatorTest, GivesTheSameBitsInAThousandOrders) {
  const auto contributions = RandomContributions(20, 50);
  const auto aggregator = Make();
  std::vector<std::size_t> order(contributions.size());
  std::iota(order.begin(), order.end(), 0);
  const Words reference = SumInOrder(*aggregator, contributions, order);
  Rng rng({.seed = 2, .purpose = "test"});
  for (int i = 0; i < 1000; ++i) {
    rng.Shuffle(std::span(order));
    ASSERT_EQ(SumInOrder(*aggregator, contributions, order), reference);
  }
}

TEST_P(AggregatorTest, MergedShardsGiveTheBitsOfOneSum) {
  const auto contributions = RandomContributions(20, 50);
  std::vector<std::size_t> order(contributions.size());
  std::iota(order.begin(), order.end(), 0);
  const auto whole = Make();
  const Words reference = SumInOrder(*whole, contributions, order);
  for (const std::size_t cut : {1, 7, 19}) {
    const auto first = Make();
    const auto second = Make();
    for (std::size_t k = 0; k < order.size(); ++k) {
      ASSERT_TRUE((k < cut ? first : second)->Add(kClient, contributions[k]).ok());
    }
    ASSERT_TRUE(first->Merge(second->Finish().value()).ok());
    const PartialSum sum = first->Finish().value();
    EXPECT_EQ(sum.coordinates, reference);
    EXPECT_EQ(sum.contributors, 20U);
  }
}

TEST_P(AggregatorTest, MergingNothingChangesNothing) {
  const auto aggregator = Make();
  ASSERT_TRUE(aggregator->Merge(PartialSum{}).ok());
  ASSERT_TRUE(aggregator->Add(kClient, Words{5}).ok());
  ASSERT_TRUE(aggregator->Merge(PartialSum{}).ok());
  EXPECT_THAT(aggregator->Finish().value().coordinates, ElementsAre(5));
}

TEST_P(AggregatorTest, RefusesAnEmptySum) {
  const auto aggregator = Make();
  EXPECT_THAT(aggregator->Finish().error().message(), HasSubstr("no contribution"));
}

TEST_P(AggregatorTest, RefusesAnotherLengthAndKeepsTheSum) {
  const auto aggregator = Make();
  ASSERT_TRUE(aggregator->Add(kClient, Words{1, 2}).ok());
  EXPECT_THAT(aggregator->Add(kClient, Words{1}).error().message(),
              HasSubstr("must have 2 words, got 1"));
  EXPECT_FALSE(aggregator->Merge({.coordinates = {1, 2, 3}, .contributors = 1}).ok());
  const PartialSum sum = aggregator->Finish().value();
  EXPECT_THAT(sum.coordinates, ElementsAre(1, 2));
  EXPECT_EQ(sum.contributors, 1U);
}

TEST_P(AggregatorTest, RefusesMoreContributorsThanCanBeCounted) {
  const auto aggregator = Make();
  ASSERT_TRUE(aggregator->Merge({.coordinates = {1}, .contributors = 0xffffffffU}).ok());
  EXPECT_EQ(aggregator->Add(kClient, Words{1}).error().code(), ErrorCode::kResourceExhausted);
}

TEST_P(AggregatorTest, StartsAnewAfterFinishAndReset) {
  const auto aggregator = Make();
  ASSERT_TRUE(aggregator->Add(kClient, Words{1, 2}).ok());
  ASSERT_TRUE(aggregator->Finish().ok());
  ASSERT_TRUE(aggregator->Add(kClient, Words{7}).ok());
  aggregator->Reset();
  ASSERT_TRUE(aggregator->Add(kClient, Words{9, 9, 9}).ok());
  EXPECT_THAT(aggregator->Finish().value().coordinates, ElementsAre(9, 9, 9));
}

TEST_P(AggregatorTest, WeightedMeanNeedsNoIndividualUpdates) {
  if (GetParam() != "weighted_mean") GTEST_SKIP() << "about weighted_mean";
  EXPECT_FALSE(Make()->NeedsIndividualUpdates());
}

}  // namespace
}  // namespace fedmeta
