#include "fedmeta/core/metric_sums.h"

#include <numeric>

#include <gtest/gtest.h>

namespace fedmeta {
namespace {

constexpr std::array<double, MetricSums::kSize> kCounted = [] {
  std::array<double, MetricSums::kSize> values{};
  std::iota(values.begin(), values.end(), 1.0);
  return values;
}();

TEST(MetricSumsTest, ArrayRoundTrips) {
  EXPECT_EQ(MetricSums::FromArray(kCounted).ToArray(), kCounted);
  EXPECT_EQ(MetricSums::FromArray(kCounted).auc_clients, MetricSums::kScalars);
  EXPECT_EQ(MetricSums::FromArray(kCounted).bin_observed.back(), MetricSums::kSize);
  EXPECT_EQ(MetricSums::kNames[7], "diverged_tasks");
  EXPECT_EQ(MetricSums::kNames[MetricSums::kScalars - 1], "auc_clients");
  EXPECT_EQ(MetricSums::kNames.back(), "bin_observed");
}

TEST(MetricSumsTest, EveryFieldAdds) {
  MetricSums sums = MetricSums::FromArray(kCounted);
  sums.Add(sums);
  for (std::size_t i = 0; i < MetricSums::kSize; ++i) EXPECT_EQ(sums.ToArray()[i], 2 * kCounted[i]);
}

TEST(MetricSumsTest, AClientsMeansAreOverItsExamples) {
  MetricSums sums{.examples = 4, .query_loss = 6, .correct = 3};
  sums.FinishClient();
  EXPECT_EQ(sums.clients, 1);
  EXPECT_EQ(sums.mean_loss, 1.5);
  EXPECT_EQ(sums.mean_correct, 0.75);
}

TEST(MetricSumsTest, AClientsAreaIsOverItsTasksThatHaveOne) {
  MetricSums sums{.examples = 4, .brier = 2, .auc = 1.5, .auc_tasks = 2};
  sums.FinishClient();
  EXPECT_EQ(sums.mean_brier, 0.5);
  EXPECT_EQ(sums.auc_clients, 1);
  EXPECT_EQ(sums.mean_auc, 0.75);
  MetricSums one_class{.examples = 4};
  one_class.FinishClient();
  EXPECT_EQ(one_class.auc_clients, 0);
}

TEST(MetricSumsTest, CalibrationErrorIsTheMeanDistanceOfPredictedAndObservedShares) {
  EXPECT_FALSE(MetricSums{.examples = 4}.CalibrationError());
  // Bin 2: three examples at .25, one of class 1; bin 9: one at 1, of class 0.
  MetricSums sums;
  sums.bin_examples[MetricSums::BinOf(0.25)] = 3;
  sums.bin_predicted[2] = 0.75;
  sums.bin_observed[2] = 1;
  sums.bin_examples[MetricSums::BinOf(1.0)] = 1;
  sums.bin_predicted[9] = 1;
  EXPECT_DOUBLE_EQ(*sums.CalibrationError(), (0.25 + 1) / 4);
}

TEST(MetricSumsTest, AClientWithoutExamplesCountsForNothing) {
  MetricSums sums{.tasks = 2, .diverged_tasks = 2};
  sums.FinishClient();
  EXPECT_EQ(sums.clients, 0);
  EXPECT_EQ(sums.mean_loss, 0);
}

}  // namespace
}  // namespace fedmeta
