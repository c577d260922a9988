#include "fedmeta/coordinator/cohort.h"

#include <algorithm>
#include <map>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace fedmeta {
namespace {

Population Clients(int count) {
  Population population;
  for (int i = 0; i < count; ++i) population.Add(ClientId("client-" + std::to_string(1000000 + i)));
  return population;
}

TEST(CohortTest, DrawsDistinctClientsInOrderOfName) {
  const Population population = Clients(50);
  for (std::uint64_t round = 1; round <= 200; ++round) {
    const auto cohort = DrawCohort(population, 20, 7, "maml", round);
    ASSERT_EQ(cohort.size(), 20U);
    EXPECT_TRUE(std::is_sorted(cohort.begin(), cohort.end()));
    EXPECT_EQ(std::adjacent_find(cohort.begin(), cohort.end()), cohort.end());
  }
}

TEST(CohortTest, TakesAllWhereThereAreNotMore) {
  const Population population = Clients(3);
  EXPECT_EQ(DrawCohort(population, 3, 7, "maml", 1), population.All());
  EXPECT_EQ(DrawCohort(population, 9, 7, "maml", 1), population.All());
}

TEST(CohortTest, DoesNotDependOnTheOrderOfJoining) {
  Population forward, backward;
  for (int i = 0; i < 30; ++i) forward.Add(ClientId("c" + std::to_string(i)));
  for (int i = 29; i >= 0; --i) backward.Add(ClientId("c" + std::to_string(i)));
  backward.Add(ClientId("left"));
  backward.Remove(ClientId("left"));
  for (std::uint64_t round = 1; round <= 20; ++round) {
    EXPECT_EQ(DrawCohort(forward, 5, 7, "maml", round), DrawCohort(backward, 5, 7, "maml", round));
  }
}

TEST(CohortTest, DiffersBySeedLegAndRound) {
  const Population population = Clients(1000);
  const auto base = DrawCohort(population, 10, 7, "maml", 1);
  EXPECT_EQ(DrawCohort(population, 10, 7, "maml", 1), base);
  EXPECT_NE(DrawCohort(population, 10, 8, "maml", 1), base);
  EXPECT_NE(DrawCohort(population, 10, 7, "fedavg", 1), base);
  EXPECT_NE(DrawCohort(population, 10, 7, "maml", 2), base);
}

TEST(CohortTest, DrawsEveryPairEquallyOften) {
  const Population population = Clients(5);
  std::map<std::vector<ClientId>, int> seen;
  constexpr int kRounds = 10000;
  for (std::uint64_t round = 1; round <= kRounds; ++round) {
    ++seen[DrawCohort(population, 2, 7, "maml", round)];
  }
  ASSERT_EQ(seen.size(), 10U);  // 5 x 4 / 2 pairs
  double chi_squared = 0;
  for (const auto& [pair, count] : seen) {
    chi_squared += (count - kRounds / 10.0) * (count - kRounds / 10.0) / (kRounds / 10.0);
  }
  EXPECT_LT(chi_squared, 27.88);  // 9 degrees of freedom, p = 0.001
}

TEST(CohortTest, DrawsFromAHundredThousandClientsManyTimes) {
  const Population population = Clients(100000);
  std::size_t drawn = 0;
  for (std::uint64_t round = 1; round <= 2000; ++round) {
    drawn += DrawCohort(population, 50, 7, "maml", round).size();
  }
  EXPECT_EQ(drawn, 100000U);
}

}  // namespace
}  // namespace fedmeta
