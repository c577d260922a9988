#include "fedmeta/core/metric_sums.h"

#include <numeric>

#include <gtest/gtest.h>

namespace fedmeta {
namespace {

constexpr std::array<double, MetricSums::kSize> kOneToEight = {1, 2, 3, 4, 5, 6, 7, 8};

TEST(MetricSumsTest, ArrayRoundTrips) {
  EXPECT_EQ(MetricSums::FromArray(kOneToEight).ToArray(), kOneToEight);
  EXPECT_EQ(MetricSums::kNames.back(), "diverged_tasks");
}

TEST(MetricSumsTest, EveryFieldAdds) {
  MetricSums sums = MetricSums::FromArray(kOneToEight);
  sums.Add(sums);
  for (std::size_t i = 0; i < MetricSums::kSize; ++i)
    EXPECT_EQ(sums.ToArray()[i], 2 * kOneToEight[i]);
}

TEST(MetricSumsTest, AClientsMeansAreOverItsExamples) {
  MetricSums sums{.examples = 4, .query_loss = 6, .correct = 3};
  sums.FinishClient();
  EXPECT_EQ(sums.clients, 1);
  EXPECT_EQ(sums.mean_loss, 1.5);
  EXPECT_EQ(sums.mean_correct, 0.75);
}

TEST(MetricSumsTest, AClientWithoutExamplesCountsForNothing) {
  MetricSums sums{.tasks = 2, .diverged_tasks = 2};
  sums.FinishClient();
  EXPECT_EQ(sums.clients, 0);
  EXPECT_EQ(sums.mean_loss, 0);
}

}  // namespace
}  // namespace fedmeta
