#include "fedmeta/algorithms/models/classification_figures.h"

#include <vector>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "fedmeta/algorithms/models/objective.h"

namespace fedmeta {
namespace {

std::optional<double> Area(const std::vector<double>& scores,
                           const std::vector<std::uint8_t>& positive) {
  return AreaUnderCurve(scores, positive);
}

TEST(AreaUnderCurveTest, IsTheShareOfPairsOrderedRightly) {
  EXPECT_EQ(Area({1, 2, 3, 4}, {0, 0, 1, 1}), 1);
  EXPECT_EQ(Area({4, 3, 2, 1}, {0, 0, 1, 1}), 0);
  // Positives at 2 and 4, negatives at 1 and 3: of four pairs only (2, 3) is wrong.
  EXPECT_EQ(Area({3, 2, 4, 1}, {0, 1, 1, 0}), 0.75);
}

TEST(AreaUnderCurveTest, TiesCountHalf) {
  EXPECT_EQ(Area({1, 1, 1}, {0, 1, 0}), 0.5);
  // (2 against 2) half, (2 against 1) whole: 1.5 of 2.
  EXPECT_EQ(Area({2, 2, 1}, {1, 0, 0}), 0.75);
}

TEST(AreaUnderCurveTest, NeedsBothClasses) {
  EXPECT_FALSE(Area({1, 2}, {1, 1}));
  EXPECT_FALSE(Area({1, 2}, {0, 0}));
  EXPECT_FALSE(Area({}, {}));
}

TEST(ClassificationFiguresTest, OfTwoClasses) {
  const std::vector<double> probabilities = {0.75, 0.25, 0.25, 0.75, 0.1, 0.9};
  const std::vector<std::int64_t> classes = {0, 1, 0};
  MetricSums sums;
  AddClassificationFigures(probabilities, classes, sums);
  EXPECT_EQ(sums.positives, 1);
  EXPECT_DOUBLE_EQ(sums.brier, 0.0625 + 0.0625 + 0.81);
  EXPECT_EQ(sums.auc_tasks, 1);
  EXPECT_EQ(sums.auc, 0.5);  // .75 above .25, below .9
  EXPECT_EQ(sums.bin_examples[2], 1);
  EXPECT_EQ(sums.bin_observed[2], 0);
  EXPECT_EQ(sums.bin_observed[7], 1);
  EXPECT_EQ(sums.bin_predicted[9], 0.9);
}

TEST(ClassificationFiguresTest, OfMoreClassesAreThoseOfTheClassPredicted) {
  const std::vector<double> probabilities = {0.5, 0.3, 0.2, 0.2, 0.2, 0.6};
  const std::vector<std::int64_t> classes = {0, 1};
  MetricSums sums;
  AddClassificationFigures(probabilities, classes, sums);
  EXPECT_DOUBLE_EQ(sums.brier, (0.25 + 0.09 + 0.04) + (0.04 + 0.64 + 0.36));
  EXPECT_EQ(sums.auc_tasks, 0);
  EXPECT_EQ(sums.bin_observed[5], 1);
  EXPECT_EQ(sums.bin_examples[6], 1);
  EXPECT_EQ(sums.bin_observed[6], 0);
}

TEST(ObjectiveTest, OneBinaryOutputAndTwoClassesAreTheSameFigures) {
  const at::Tensor logits = at::tensor({-1.0, 0.5, 2.0}, at::kDouble).view({3, 1});
  const at::Tensor targets = at::tensor({0.0, 1.0, 0.0}, at::kDouble).view({3, 1});
  const auto one =
      Objective(ObjectiveKind::kBinaryCrossEntropy).Evaluate(logits, targets).ToArray();
  const auto two =
      Objective(ObjectiveKind::kCrossEntropy)
          .Evaluate(at::cat({at::zeros_like(logits), logits}, 1), targets.view({-1}).to(at::kLong))
          .ToArray();
  for (std::size_t i = 0; i < one.size(); ++i)
    EXPECT_NEAR(one[i], two[i], 1e-12) << MetricSums::kNames[i];
  EXPECT_GT(one[11], 0);  // an area
}

TEST(ObjectiveTest, ALossThatIsNotFiniteHasNoFurtherFigures) {
  const at::Tensor logits = at::full({2, 2}, std::numeric_limits<double>::quiet_NaN());
  const MetricSums sums =
      Objective(ObjectiveKind::kCrossEntropy).Evaluate(logits, at::zeros({2}, at::kLong));
  EXPECT_TRUE(std::isnan(sums.query_loss));
  EXPECT_EQ(sums.brier, 0);
}

}  // namespace
}  // namespace fedmeta
