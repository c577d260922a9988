#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "fedmeta/client/task_source.h"

namespace fedmeta {
namespace {

TaskSet Classes(std::vector<std::int64_t> labels) {
  const auto count = static_cast<std::int64_t>(labels.size());
  return {at::zeros({count, 1}), at::tensor(labels, at::kLong)};
}

TEST(ClassWeightsTest, AreInverseToTheClassesOfTheSupportSet) {
  // Counted once more than they occur: class 0 four times, class 1 twice; weights 1/4 and 1/2 over
  // the mean (3/4 + 1/2) / 4 = 5/16.
  Task task{Classes({0, 0, 0, 1}), Classes({1, 0})};
  BalanceClasses(task, ObjectiveKind::kCrossEntropy);
  EXPECT_TRUE(at::allclose(task.support.weights, at::tensor({0.8F, 0.8F, 0.8F, 1.6F})));
  EXPECT_TRUE(at::allclose(task.query.weights, at::tensor({1.6F, 0.8F})));
}

TEST(ClassWeightsTest, ASiteOfOneClassWeighsItsRowsAlike) {
  Task task{Classes({1, 1, 1, 1}), Classes({0, 1})};
  BalanceClasses(task, ObjectiveKind::kCrossEntropy);
  EXPECT_TRUE(at::equal(task.support.weights, at::ones({4})));
  // A class that the support set lacks weighs as if it had occurred less than once: 5 times
  // class 1.
  EXPECT_TRUE(at::allclose(task.query.weights, at::tensor({5.0F, 1.0F})));
}

TEST(ClassWeightsTest, BinaryTargetsAreClassesAndNumbersAreNot) {
  Task task{{at::zeros({2, 1}), at::tensor({0.0F, 1.0F}).view({2, 1})}, {}};
  BalanceClasses(task, ObjectiveKind::kBinaryCrossEntropy);
  EXPECT_TRUE(at::equal(task.support.weights, at::ones({2})));
  Task numbers{{at::zeros({2, 1}), at::tensor({0.5F, -3.0F}).view({2, 1})}, {}};
  BalanceClasses(numbers, ObjectiveKind::kMeanSquaredError);
  EXPECT_FALSE(numbers.support.weights.defined());
}

}  // namespace
}  // namespace fedmeta
