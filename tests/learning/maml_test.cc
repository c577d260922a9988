#include <cmath>

#include "learning_fixtures.h"
#include <gtest/gtest.h>

namespace fedmeta {
namespace {

struct Problem {
  std::unique_ptr<Model> model;
  Objective objective{ObjectiveKind::kCrossEntropy};
  Task task = {};
  at::Tensor theta = {};
  double learning_rate = 0.1;
  at::Tensor frozen_statistics = {};
  std::unique_ptr<TaskGradients> gradients() const {
    return MakeTaskGradients(*model, objective, at::kCPU, frozen_statistics);
  }
};

Problem MlpProblem(bool kinks) {
  Rng rng = TestRng(11);
  Problem problem{.model = MakeMlp({10, 10}, kinks ? "relu" : "softplus", 2, 1)};
  problem.objective = Objective(ObjectiveKind::kMeanSquaredError);
  problem.task = {RandomValues(2, 1, 8, rng), RandomValues(2, 1, 9, rng)};
  problem.theta = InitialTensor(*problem.model, at::kDouble);
  return problem;
}

Problem Conv4Problem(const v1::Conv4Settings& settings) {
  Rng rng = TestRng(12);
  Problem problem{.model = MakeConv4(settings, {1, 16, 16}, 3)};
  problem.task = {RandomClasses({1, 16, 16}, 3, 6, rng), RandomClasses({1, 16, 16}, 3, 9, rng)};
  problem.theta = InitialTensor(*problem.model, at::kDouble);
  if (settings.normalization() == "frozen") {
    // Of some other batch: neither those of the task's sets nor mean 0 and variance 1.
    problem.frozen_statistics =
        MakeAutogradGradients(*problem.model, problem.objective)
            ->Statistics(problem.theta, RandomClasses({1, 16, 16}, 3, 5, rng));
  }
  return problem;
}

Problem ProblemOf(const std::string& net, bool kinks) {
  if (net == "mlp") return MlpProblem(kinks);
  v1::Conv4Settings settings = SmallConv4(kinks);
  if (net == "stride_mean_no_gamma" || net == "frozen_no_gamma") {
    settings.set_downsample("stride");
    settings.set_readout("mean");
    settings.set_gamma(false);
  }
  if (net == "frozen" || net == "frozen_no_gamma") settings.set_normalization("frozen");
  if (net == "averaged") settings.set_normalization("averaged");
  if (net == "group") settings.set_normalization("group");
  if (net == "none") settings.set_normalization("none");
  return Conv4Problem(settings);
}

v1::MamlSettings SettingsOf(const Problem& problem, std::uint32_t steps) {
  v1::MamlSettings settings;
  settings.set_inner_learning_rate(problem.learning_rate);
  settings.set_adaptation_steps(steps);
  return settings;
}

/// L_Q(phi_K(theta)), forward only.
double QueryLoss(const Problem& problem, const TaskGradients& gradients,
                 const v1::MamlSettings& settings, const at::Tensor& theta) {
  const InnerLoopOptions loop{.learning_rate = settings.inner_learning_rate(),
                              .steps = settings.adaptation_steps(),
                              .gradient_clip = settings.gradient_clip()};
  const InnerResult inner =
      RunInnerLoop(gradients, theta, problem.task.support, loop, nullptr, KeepSteps::kNone);
  const MetricSums sums = gradients.Measure(inner.parameters, problem.task.query);
  return sums.query_loss / sums.examples;
}

at::Tensor Update(const std::string& algorithm, const Problem& problem,
                  const TaskGradients& gradients, const v1::MamlSettings& settings) {
  Rng rng = TestRng();
  std::unique_ptr<MetaLearner> learner;
  if (algorithm == "maml") {
    learner = MakeLearner("maml", settings);
  } else {
    v1::FomamlSettings first_order;
    first_order.set_inner_learning_rate(settings.inner_learning_rate());
    first_order.set_adaptation_steps(settings.adaptation_steps());
    learner = MakeLearner("fomaml", first_order);
  }
  return TaskPart(*learner).LearnTask(gradients, problem.theta, problem.task, rng).value().update;
}

struct SmoothCase {
  std::string net;
  std::uint32_t steps;
};

class SmoothMamlTest : public testing::TestWithParam<SmoothCase> {};

TEST_P(SmoothMamlTest, MatchesFiniteDifferences) {
  const Problem problem = ProblemOf(GetParam().net, false);
  const auto gradients = problem.gradients();
  const v1::MamlSettings settings = SettingsOf(problem, GetParam().steps);
  const at::Tensor update = Update("maml", problem, *gradients, settings);
  Rng rng = TestRng(5);
  for (int i = 0; i < 4; ++i) {
    // A random direction with a part along the gradient, so that the derivative is not near zero.
    at::Tensor direction = RandomNormal({problem.theta.numel()}, rng);
    direction = direction / direction.norm() + update / update.norm();
    const double h = 1e-5;
    const auto loss = [&](double shift) {
      return QueryLoss(problem, *gradients, settings, problem.theta + direction * shift);
    };
    const double expected = (loss(h) - loss(-h)) / (2 * h);
    const double actual = at::dot(update, direction).item<double>();
    EXPECT_LT(std::abs(actual - expected), 1e-6 * std::abs(expected)) << "derivative " << expected;
  }
}

TEST_P(SmoothMamlTest, FirstOrderUpdateFailsTheSameGate) {
  // Guards the gate itself: with the second-order term cut it must not pass.
  const Problem problem = ProblemOf(GetParam().net, false);
  const auto gradients = problem.gradients();
  const v1::MamlSettings settings = SettingsOf(problem, GetParam().steps);
  EXPECT_GT(RelativeError(Update("fomaml", problem, *gradients, settings),
                          Update("maml", problem, *gradients, settings)),
            1e-3);
}

std::vector<SmoothCase> SmoothCases() {
  std::vector<SmoothCase> cases;
  for (const char* net : {"mlp", "conv4", "stride_mean_no_gamma", "group", "none", "frozen"}) {
    for (const std::uint32_t steps : {1U, 3U, 5U}) cases.push_back({net, steps});
  }
  cases.push_back({"frozen_no_gamma", 3});
  cases.push_back({"averaged", 3});
  return cases;
}

std::string CaseName(const testing::TestParamInfo<SmoothCase>& each) {
  return each.param.net + "_steps" + std::to_string(each.param.steps);
}

INSTANTIATE_TEST_SUITE_P(NetsAndSteps, SmoothMamlTest, testing::ValuesIn(SmoothCases()), CaseName);

class KinkedMamlTest : public testing::TestWithParam<SmoothCase> {};

TEST_P(KinkedMamlTest, MatchesFiniteDifferencesAwayFromKinks) {
  const Problem problem = ProblemOf(GetParam().net, true);
  const auto gradients = problem.gradients();
  const v1::MamlSettings settings = SettingsOf(problem, GetParam().steps);
  const at::Tensor update = Update("maml", problem, *gradients, settings);
  Rng rng = TestRng(6);
  int checked = 0;
  for (int draw = 0; draw < 40 && checked < 4; ++draw) {
    at::Tensor direction = RandomNormal({problem.theta.numel()}, rng);
    direction = direction / direction.norm() + update / update.norm();
    std::vector<double> estimates;
    for (const double h : {1e-5, 3e-6, 1e-6}) {
      const double above = QueryLoss(problem, *gradients, settings, problem.theta + direction * h);
      const double below = QueryLoss(problem, *gradients, settings, problem.theta - direction * h);
      estimates.push_back((above - below) / (2 * h));
    }
    const double expected = estimates.back();
    // Step sizes that disagree have a kink between them: another direction is drawn.
    if (std::abs(estimates[0] - expected) > 1e-6 * std::abs(expected) ||
        std::abs(estimates[1] - expected) > 1e-6 * std::abs(expected)) {
      continue;
    }
    ++checked;
    EXPECT_NEAR(at::dot(update, direction).item<double>(), expected, 1e-5 * std::abs(expected));
  }
  EXPECT_EQ(checked, 4) << "too many directions crossed a kink";
}

INSTANTIATE_TEST_SUITE_P(NetsAndSteps, KinkedMamlTest,
                         testing::Values(SmoothCase{"mlp", 1}, SmoothCase{"mlp", 3},
                                         SmoothCase{"mlp", 5}, SmoothCase{"conv4", 1},
                                         SmoothCase{"conv4", 3}, SmoothCase{"conv4", 5}),
                         CaseName);

TEST(MamlTest, ClippedInnerGradientsAreDifferentiatedExactly) {
  const Problem problem = ProblemOf("mlp", false);
  const auto gradients = problem.gradients();
  v1::MamlSettings settings = SettingsOf(problem, 3);
  settings.set_gradient_clip(0.05);  // below the norms that occur, so every step is clipped
  const at::Tensor update = Update("maml", problem, *gradients, settings);
  Rng rng = TestRng(7);
  at::Tensor direction = RandomNormal({problem.theta.numel()}, rng);
  direction = direction / direction.norm() + update / update.norm();
  const double h = 1e-5;
  const double expected =
      (QueryLoss(problem, *gradients, settings, problem.theta + direction * h) -
       QueryLoss(problem, *gradients, settings, problem.theta - direction * h)) /
      (2 * h);
  EXPECT_NEAR(at::dot(update, direction).item<double>(), expected, 1e-6 * std::abs(expected));
  EXPECT_GT(RelativeError(update, Update("maml", problem, *gradients, SettingsOf(problem, 3))),
            1e-3);
}

TEST(MamlTest, WithoutStepsIsThePlainQueryGradient) {
  const Problem problem = ProblemOf("mlp", true);
  const auto gradients = problem.gradients();
  EXPECT_TRUE(at::equal(Update("maml", problem, *gradients, SettingsOf(problem, 0)),
                        gradients->Compute(problem.theta, problem.task.query, false).gradient));
}

TEST(MamlTest, OuterClipBoundsEveryEntry) {
  const Problem problem = ProblemOf("mlp", true);
  const auto gradients = problem.gradients();
  v1::MamlSettings settings = SettingsOf(problem, 1);
  const at::Tensor free = Update("maml", problem, *gradients, settings);
  settings.set_outer_gradient_clip(0.01);
  EXPECT_TRUE(at::equal(Update("maml", problem, *gradients, settings), free.clamp(-0.01, 0.01)));
  EXPECT_GT(free.abs().max().item<double>(), 0.01);
}

}  // namespace
}  // namespace fedmeta
