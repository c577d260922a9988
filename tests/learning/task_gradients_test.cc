#include "fedmeta/algorithms/meta/task_gradients.h"

#include "learning_fixtures.h"
#include <gtest/gtest.h>

namespace fedmeta {
namespace {

struct FusedCase {
  std::string activation;
  ObjectiveKind objective;
};

class FusedKernelTest : public testing::TestWithParam<FusedCase> {
 protected:
  /// Widths that end in the middle of vectors, with and without hidden layers.
  static TaskSet Examples(ObjectiveKind kind, std::int64_t inputs, std::int64_t outputs,
                          std::int64_t count, Rng& rng, at::ScalarType type) {
    if (kind == ObjectiveKind::kCrossEntropy) {
      return RandomClasses({inputs}, outputs, count, rng, type);
    }
    TaskSet set = RandomValues(inputs, outputs, count, rng, type);
    if (kind == ObjectiveKind::kBinaryCrossEntropy) set.targets = (set.targets > 0).to(type);
    return set;
  }

  void ExpectAgreement(at::ScalarType type, double tolerance) {
    const Objective objective(GetParam().objective);
    const std::vector<std::vector<std::uint32_t>> shapes = {{}, {7}, {40, 40}, {33, 5, 18}};
    Rng rng = TestRng();
    for (const auto& hidden : shapes) {
      for (const std::int64_t outputs : {1, 4}) {
        const auto model = MakeMlp(hidden, GetParam().activation, 3, outputs);
        const auto autograd = MakeAutogradGradients(*model, objective);
        const auto fused = MakeMlpGradients(*model, objective);
        const at::Tensor theta = InitialTensor(*model, type);
        TaskSet set = Examples(GetParam().objective, 3, outputs, 13, rng, type);
        if (hidden.size() % 2 == 1) set.weights = RandomNormal({13}, rng, type).abs();
        const LossGradient expected = autograd->Compute(theta, set, true);
        const LossGradient actual = fused->Compute(theta, set, true);
        EXPECT_NEAR(actual.loss, expected.loss, tolerance * (1 + expected.loss));
        if (outputs > 1 || GetParam().objective != ObjectiveKind::kCrossEntropy) {
          EXPECT_LT(RelativeError(actual.gradient, expected.gradient), tolerance);
        }
        EXPECT_EQ(actual.sums.correct, expected.sums.correct);
        EXPECT_EQ(actual.sums.examples, 13);
        const at::Tensor v = RandomNormal({theta.numel()}, rng, type);
        const at::Tensor product = expected.hessian_times(v);
        EXPECT_LT((actual.hessian_times(v) - product).norm().item<double>(),
                  tolerance * (1 + product.norm().item<double>()));
        EXPECT_LT((fused->Outputs(theta, set, {}) - autograd->Outputs(theta, set, {}))
                      .abs()
                      .max()
                      .item<double>(),
                  10 * tolerance);
        const MetricSums measured = fused->Measure(theta, set);
        EXPECT_EQ(measured.query_loss, actual.sums.query_loss);
        EXPECT_NEAR(measured.query_loss, autograd->Measure(theta, set).query_loss,
                    13 * tolerance * (1 + expected.loss));
      }
    }
  }
};

TEST_P(FusedKernelTest, AgreesWithAutogradInDouble) { ExpectAgreement(at::kDouble, 1e-12); }
TEST_P(FusedKernelTest, AgreesWithAutogradInFloat) { ExpectAgreement(at::kFloat, 1e-5); }

std::vector<FusedCase> FusedCases() {
  std::vector<FusedCase> cases;
  for (const char* activation : {"relu", "tanh", "softplus"}) {
    for (const auto objective : {ObjectiveKind::kCrossEntropy, ObjectiveKind::kBinaryCrossEntropy,
                                 ObjectiveKind::kMeanSquaredError}) {
      cases.push_back({activation, objective});
    }
  }
  return cases;
}

INSTANTIATE_TEST_SUITE_P(ActivationsAndObjectives, FusedKernelTest, testing::ValuesIn(FusedCases()),
                         [](const auto& each) {
                           return each.param.activation +
                                  std::to_string(static_cast<int>(each.param.objective));
                         });

TEST(FusedKernelTest, KeepsACurvatureWhileOtherPointsAreComputed) {
  const auto model = MakeMlp({8}, "tanh", 2, 1);
  const auto gradients = MakeMlpGradients(*model, Objective(ObjectiveKind::kMeanSquaredError));
  Rng rng = TestRng();
  const at::Tensor theta = InitialTensor(*model, at::kFloat);
  const TaskSet set = RandomValues(2, 1, 5, rng, at::kFloat);
  const LossGradient first = gradients->Compute(theta, set, true);
  const at::Tensor v = RandomNormal({theta.numel()}, rng, at::kFloat);
  const at::Tensor before = first.hessian_times(v);
  (void)gradients->Compute(theta * 2, set, true).hessian_times(v);
  EXPECT_TRUE(at::equal(first.hessian_times(v), before));
}

TEST(FusedKernelTest, GivesTheSameBitsWhateverWasComputedBefore) {
  const auto model = MakeMlp({8}, "relu", 2, 1);
  const Objective objective(ObjectiveKind::kMeanSquaredError);
  Rng rng = TestRng();
  const at::Tensor theta = InitialTensor(*model, at::kFloat);
  const TaskSet small = RandomValues(2, 1, 5, rng, at::kFloat);
  const TaskSet large = RandomValues(2, 1, 50, rng, at::kFloat);
  const auto used = MakeMlpGradients(*model, objective);
  (void)used->Compute(theta, large, true);
  const auto fresh = MakeMlpGradients(*model, objective);
  EXPECT_TRUE(at::equal(used->Compute(theta, small, false).gradient,
                        fresh->Compute(theta, small, false).gradient));
}

TEST(FusedKernelTest, RefusesALabelWithoutAnOutput) {
  const auto model = MakeMlp({}, "relu", 2, 3);
  const auto gradients = MakeMlpGradients(*model, Objective(ObjectiveKind::kCrossEntropy));
  const TaskSet set{at::zeros({1, 2}), at::full({1}, 3, at::kLong)};
  EXPECT_THROW((void)gradients->Compute(InitialTensor(*model, at::kFloat), set, false),
               std::out_of_range);
}

TEST(FusedKernelTest, RefusesInputsOfAnotherWidth) {
  const auto model = MakeMlp({}, "relu", 2, 1);
  const auto gradients = MakeMlpGradients(*model, Objective(ObjectiveKind::kMeanSquaredError));
  const TaskSet set{at::zeros({4, 3}), at::zeros({4, 1})};
  EXPECT_THROW((void)gradients->Compute(InitialTensor(*model, at::kFloat), set, false),
               std::invalid_argument);
}

TEST(AutogradGradientsTest, HessianOfConv4MatchesDifferencesOfGradients) {
  const auto model = MakeConv4(SmallConv4(false), {1, 16, 16}, 3);
  const auto gradients = MakeAutogradGradients(*model, Objective(ObjectiveKind::kCrossEntropy));
  Rng rng = TestRng();
  const at::Tensor theta = InitialTensor(*model, at::kDouble);
  const TaskSet set = RandomClasses({1, 16, 16}, 3, 6, rng);
  const at::Tensor v = RandomNormal({theta.numel()}, rng);
  const double h = 1e-5;
  const at::Tensor differences = (gradients->Compute(theta + v * h, set, false).gradient -
                                  gradients->Compute(theta - v * h, set, false).gradient) /
                                 (2 * h);
  EXPECT_LT(RelativeError(gradients->Compute(theta, set, true).hessian_times(v), differences),
            1e-6);
}

TEST(AutogradGradientsTest, ChannelsLastAndPlainOrderAgree) {
  // Without curvature the images are in channels-last order, with it they are not.
  const auto model = MakeConv4(SmallConv4(true), {1, 16, 16}, 3);
  const auto gradients = MakeAutogradGradients(*model, Objective(ObjectiveKind::kCrossEntropy));
  Rng rng = TestRng();
  const at::Tensor theta = InitialTensor(*model, at::kFloat);
  const TaskSet set = RandomClasses({1, 16, 16}, 3, 6, rng, at::kFloat);
  EXPECT_LT(RelativeError(gradients->Compute(theta, set, false).gradient,
                          gradients->Compute(theta, set, true).gradient),
            1e-5);
}

TEST(TaskGradientsTest, SmallMlpsRunFusedAndGiveTheFusedBits) {
  const auto model = MakeMlp({8}, "relu", 2, 1);
  const Objective objective(ObjectiveKind::kMeanSquaredError);
  Rng rng = TestRng();
  const at::Tensor theta = InitialTensor(*model, at::kFloat);
  const TaskSet set = RandomValues(2, 1, 50, rng, at::kFloat);
  EXPECT_TRUE(
      at::equal(MakeTaskGradients(*model, objective, at::kCPU)->Compute(theta, set, false).gradient,
                MakeMlpGradients(*model, objective)->Compute(theta, set, false).gradient));
}

}  // namespace
}  // namespace fedmeta
