// What the inner loop can have beside plain steps: the proximal term, coordinates that stay,
// learned step sizes; and baselines that are made of it.
#include <cmath>

#include "learning_fixtures.h"
#include <gtest/gtest.h>

#include "fedmeta/algorithms/meta/adaptation_scope.h"
#include "fedmeta/algorithms/meta/inner_loop.h"
#include "fedmeta/algorithms/meta/learned_rates.h"

namespace fedmeta {
namespace {

struct Smooth {
  std::unique_ptr<Model> model = MakeMlp({6}, "softplus", 3, 2);
  std::unique_ptr<TaskGradients> gradients =
      MakeTaskGradients(*model, Objective(ObjectiveKind::kCrossEntropy), at::kCPU);
  at::Tensor theta = InitialTensor(*model, at::kDouble);
  Task task;
  Smooth() {
    Rng rng = TestRng(31);
    task = {RandomClasses({3}, 2, 8, rng), RandomClasses({3}, 2, 10, rng)};
  }
};

struct TermsCase {
  std::string name;
  double proximal = 0;
  std::string adapts = "all";
  std::string rates = "none";
  double clip = 0;
  bool weighted = false;
};

v1::MamlSettings SettingsOf(const TermsCase& terms) {
  v1::MamlSettings settings;
  settings.set_inner_learning_rate(0.3);
  settings.set_adaptation_steps(3);
  settings.set_proximal(terms.proximal);
  settings.set_adapts(terms.adapts);
  settings.set_learn_inner_learning_rate(terms.rates);
  settings.set_gradient_clip(terms.clip);
  return settings;
}

/// L_Q(phi_K), forward only, at theta and the learned step sizes behind it.
double QueryLoss(const Smooth& problem, const v1::MamlSettings& settings,
                 const at::Tensor& learned) {
  const LearnedRates rates(settings.learn_inner_learning_rate(), settings.adaptation_steps());
  const std::int64_t parameters = problem.theta.numel();
  InnerLoopOptions loop{.learning_rate = settings.inner_learning_rate(),
                        .steps = settings.adaptation_steps(),
                        .gradient_clip = settings.gradient_clip(),
                        .proximal = settings.proximal(),
                        .scope = ParseAdaptationScope(settings.adapts())};
  if (learned.numel() > parameters)
    loop.rate_scale =
        rates.Scale(*problem.model, learned.narrow(0, parameters, learned.numel() - parameters));
  const InnerResult inner = RunInnerLoop(*problem.gradients, learned.narrow(0, 0, parameters),
                                         problem.task.support, loop, nullptr, KeepSteps::kNone);
  return problem.gradients->Compute(inner.parameters, problem.task.query, false).loss;
}

/// Theta, and step sizes that are not the initial ones.
at::Tensor Learned(const Smooth& problem, const v1::MamlSettings& settings) {
  const LearnedRates rates(settings.learn_inner_learning_rate(), settings.adaptation_steps());
  const auto count = static_cast<std::int64_t>(rates.size(*problem.model));
  Rng rng = TestRng(8);
  return at::cat({problem.theta, RandomNormal({count}, rng) * 0.5});
}

class InnerTermsTest : public testing::TestWithParam<TermsCase> {};

TEST_P(InnerTermsTest, MamlMatchesFiniteDifferences) {
  Smooth problem;
  if (GetParam().weighted) {
    Rng rng = TestRng(9);
    problem.task.support.weights = RandomNormal({8}, rng).abs() + 0.1;
    problem.task.query.weights = RandomNormal({10}, rng).abs() + 0.1;
  }
  const v1::MamlSettings settings = SettingsOf(GetParam());
  const at::Tensor learned = Learned(problem, settings);
  Rng rng = TestRng(5);
  const auto learner = MakeLearner("maml", settings);
  const at::Tensor update =
      TaskPart(*learner).LearnTask(*problem.gradients, learned, problem.task, rng)->update;
  ASSERT_EQ(update.numel(), learned.numel());
  const std::int64_t parameters = problem.theta.numel();
  const auto check = [&](at::Tensor direction, const char* what) {
    const double h = 1e-5;
    const double expected = (QueryLoss(problem, settings, learned + direction * h) -
                             QueryLoss(problem, settings, learned - direction * h)) /
                            (2 * h);
    EXPECT_NEAR(at::dot(update, direction).item<double>(), expected, 1e-6 * std::abs(expected))
        << what;
  };
  for (int i = 0; i < 3; ++i) {
    at::Tensor direction = RandomNormal({learned.numel()}, rng);
    check(direction / direction.norm() + update / update.norm(), "theta and step sizes");
    if (learned.numel() == parameters) continue;
    at::Tensor in_rates = at::zeros_like(learned);
    in_rates.narrow(0, parameters, learned.numel() - parameters)
        .copy_(RandomNormal({learned.numel() - parameters}, rng));
    check(in_rates, "step sizes alone");
  }
}

INSTANTIATE_TEST_SUITE_P(
    Terms, InnerTermsTest,
    testing::Values(TermsCase{.name = "proximal", .proximal = 0.4},
                    TermsCase{.name = "proximal_clipped", .proximal = 0.4, .clip = 0.05},
                    TermsCase{.name = "head", .proximal = 0.4, .adapts = "head", .clip = 0.05},
                    TermsCase{.name = "intercept", .adapts = "intercept"},
                    TermsCase{.name = "weighted", .proximal = 0.4, .weighted = true},
                    TermsCase{.name = "scalar", .rates = "scalar"},
                    TermsCase{.name = "per_layer", .rates = "per_layer", .clip = 0.05},
                    TermsCase{.name = "per_layer_step",
                              .proximal = 0.4,
                              .adapts = "head",
                              .rates = "per_layer_step",
                              .clip = 0.05,
                              .weighted = true}),
    [](const auto& each) { return each.param.name; });

TEST(LearnedRatesTest, OfOneStepAreExactAlsoToFirstOrder) {
  // d phi_1 / d r = -alpha grad L_S(theta), whatever the Hessian is.
  const Smooth problem;
  v1::FomamlSettings settings;
  settings.set_inner_learning_rate(0.3);
  settings.set_adaptation_steps(1);
  settings.set_learn_inner_learning_rate("per_layer");
  v1::MamlSettings exact;
  exact.set_inner_learning_rate(0.3);
  exact.set_adaptation_steps(1);
  exact.set_learn_inner_learning_rate("per_layer");
  const at::Tensor learned = Learned(problem, exact);
  Rng rng = TestRng();
  const auto rates_of = [&](const MetaLearner& learner) {
    return TaskPart(learner)
        .LearnTask(*problem.gradients, learned, problem.task, rng)
        ->update.narrow(0, problem.theta.numel(), 4);
  };
  EXPECT_LT(RelativeError(rates_of(*MakeLearner("fomaml", settings)),
                          rates_of(*MakeLearner("maml", exact))),
            1e-12);
}

TEST(LearnedRatesTest, StandBehindThetaAndStartAtTheRateAsSet) {
  const auto model = MakeMlp({5}, "relu", 3, 2);
  v1::MamlSettings settings;
  settings.set_adaptation_steps(3);
  settings.set_learn_inner_learning_rate("per_layer_step");
  const auto learner = MakeLearner("maml", settings);
  const StateLayout layout = learner->DescribeState(*model).value();
  ASSERT_EQ(layout.segments().size(), 2U);
  EXPECT_EQ(layout.segments()[1].rule, ServerRule::kOptimize);
  EXPECT_EQ(layout.segment_size(1), 3U * 4U);
  Rng rng = TestRng();
  const std::vector<float> state = learner->InitialState(*model, rng).value();
  ASSERT_EQ(state.size(), layout.size());

  // Adaptation with them equals adaptation without.
  const Objective objective(ObjectiveKind::kCrossEntropy);
  const auto gradients = MakeTaskGradients(*model, objective, at::kCPU);
  const LearnContext context{.model = *model, .objective = objective};
  const TaskSet support = RandomClasses({3}, 2, 12, rng, at::kFloat);
  const auto adapted = [&](const MetaLearner& one, std::span<const float> from) {
    at::Tensor last;
    EXPECT_TRUE(one.Adapt(context, *gradients, from, support, {.steps = {5}, .learning_rate = 0.1},
                          [&](std::uint32_t, const at::Tensor& phi) { last = phi; })
                    .ok());
    return last;
  };
  settings.set_learn_inner_learning_rate("none");
  const auto plain = MakeLearner("maml", settings);
  EXPECT_TRUE(at::equal(adapted(*learner, state),
                        adapted(*plain, std::span(state).first(ParameterCount(*model)))));
  // Doubled rates of the last step also serve the steps beyond training.
  std::vector<float> doubled = state;
  for (std::size_t i = layout.segment_offset(1); i < doubled.size(); ++i)
    doubled[i] = std::log(2.0F);
  EXPECT_FALSE(at::equal(adapted(*learner, doubled), adapted(*learner, state)));
}

TEST(AdaptationScopeTest, FewLabelsMoveOnlyTheInterceptOfALinearModel) {
  const auto linear = MakeMlp({}, "relu", 3, 2);
  const at::Tensor theta = InitialTensor(*linear, at::kFloat);  // 6 weights, 2 biases
  const at::Tensor moved = MovedCoordinates(*linear, AdaptationScope::kAuto, kFewLabels, theta);
  EXPECT_EQ(moved.sum().item<float>(), 2);
  EXPECT_EQ(moved.narrow(0, 6, 2).sum().item<float>(), 2);
  EXPECT_FALSE(MovedCoordinates(*linear, AdaptationScope::kAuto, kFewLabels + 1, theta).defined());
  const auto deep = MakeMlp({4}, "relu", 3, 2);
  const at::Tensor other = InitialTensor(*deep, at::kFloat);
  EXPECT_FALSE(MovedCoordinates(*deep, AdaptationScope::kAuto, 1, other).defined());
  EXPECT_EQ(MovedCoordinates(*deep, AdaptationScope::kHead, 1, other).sum().item<float>(), 10);
}

/// Two logits of a linear model after many steps on rows of one class.
at::Tensor OneClass(const std::string& name, const MetaLearner& learner) {
  const auto model = MakeMlp({}, "relu", 2, 2);
  const Objective objective(ObjectiveKind::kCrossEntropy);
  const auto gradients = MakeTaskGradients(*model, objective, at::kCPU);
  const TaskSet support{at::ones({20, 2}), at::ones({20}, at::kLong)};
  const std::vector<float> state(ParameterCount(*model), 0.0F);
  at::Tensor last;
  const LearnContext context{.model = *model, .objective = objective};
  const Status status =
      learner.Adapt(context, *gradients, state, support, {.steps = {5000}, .learning_rate = 1},
                    [&](std::uint32_t, const at::Tensor& phi) { last = phi; });
  EXPECT_TRUE(status.ok()) << name;
  return last;
}

TEST(LocalTest, TheProximalTermHoldsASiteOfOneClass) {
  v1::LocalSettings settings;
  const at::Tensor runs_away = OneClass("without", *MakeLearner("local", settings));
  settings.set_proximal(0.1);
  const at::Tensor held = OneClass("with", *MakeLearner("local", settings));
  EXPECT_GT(runs_away.abs().max().item<double>(), 1.5);
  EXPECT_LT(held.abs().max().item<double>(), 1);
  // At the optimum lambda w = (1 - p) for every coordinate of class 1, p = sigmoid(2 * 3 w).
  const double weight = held[2].item<double>();
  const double p = 1 / (1 + std::exp(-2 * 3 * weight));
  EXPECT_NEAR(0.1 * weight, 1 - p, 1e-4);
}

TEST(ConstantTest, GivesTheSharesOfTheLabelledRows) {
  const auto model = MakeMlp({4}, "relu", 3, 3);
  const Objective objective(ObjectiveKind::kCrossEntropy);
  const auto gradients = MakeTaskGradients(*model, objective, at::kCPU);
  Rng rng = TestRng();
  TaskSet support{RandomNormal({7, 3}, rng, at::kFloat),
                  at::tensor({0, 0, 0, 0, 0, 2, 2}, at::kLong)};
  const std::vector<float> state(ParameterCount(*model), 0.5F);
  std::vector<at::Tensor> visited;
  const auto learner = MakeLearner("constant", v1::ConstantSettings());
  EXPECT_FALSE(learner->trains());
  ASSERT_TRUE(learner
                  ->Adapt({.model = *model, .objective = objective}, *gradients, state, support,
                          {.steps = {0, 1, 9}, .learning_rate = 1},
                          [&](std::uint32_t, const at::Tensor& phi) { visited.push_back(phi); })
                  .ok());
  ASSERT_EQ(visited.size(), 3U);
  const auto shares = [&](const at::Tensor& phi) {
    return objective.Probabilities(gradients->Outputs(phi, support, {}))[4];
  };
  EXPECT_TRUE(at::allclose(shares(visited[0]), at::full({3}, 1.0 / 3, at::kDouble)));
  // (5 + 1, 0 + 1, 2 + 1) of 7 + 3.
  EXPECT_TRUE(at::allclose(shares(visited[1]), at::tensor({0.6, 0.1, 0.3}, at::kDouble), 1e-6));
  EXPECT_TRUE(at::equal(visited[1], visited[2]));
}

}  // namespace
}  // namespace fedmeta
