// Algorithms in settings where they must equal something simpler.
#include "learning_fixtures.h"
#include <gtest/gtest.h>

namespace fedmeta {
namespace {

struct Setting {
  std::unique_ptr<Model> model = MakeMlp({10}, "relu", 3, 3);
  Objective objective{ObjectiveKind::kCrossEntropy};
  std::unique_ptr<TaskGradients> gradients = MakeTaskGradients(*model, objective, at::kCPU);
  at::Tensor theta = InitialTensor(*model, at::kFloat);
  Task task;
  Setting() {
    Rng rng = TestRng(21);
    FakeSource source({});
    task = source.Draw(rng, 0).value();
  }
};

TaskSet Joined(const Task& task) {
  return {at::cat({task.support.inputs, task.query.inputs}),
          at::cat({task.support.targets, task.query.targets})};
}

at::Tensor UpdateOf(const MetaLearner& learner, const Setting& setting) {
  Rng rng = TestRng();
  return TaskPart(learner)
      .LearnTask(*setting.gradients, setting.theta, setting.task, rng)
      .value()
      .update;
}

TEST(ReptileTest, OneFullBatchStepIsOneStepOfSgd) {
  const Setting setting;
  v1::ReptileSettings settings;
  settings.set_adaptation_steps(1);
  settings.set_inner_learning_rate(0.3);
  const at::Tensor gradient =
      setting.gradients->Compute(setting.theta, Joined(setting.task), false).gradient;
  EXPECT_LT(RelativeError(UpdateOf(*MakeLearner("reptile", settings), setting), gradient * 0.3),
            1e-5);
}

TEST(ReptileTest, WithTrainShotsLearnsFromTheSupportSetAlone) {
  const Setting setting;
  v1::ReptileSettings settings;
  settings.set_adaptation_steps(1);
  settings.set_inner_learning_rate(1);
  settings.set_train_shots(2);
  const at::Tensor gradient =
      setting.gradients->Compute(setting.theta, setting.task.support, false).gradient;
  EXPECT_LT(RelativeError(UpdateOf(*MakeLearner("reptile", settings), setting), gradient), 1e-5);
}

TEST(ReptileTest, AdamsFirstStepIsTheSignOfTheGradient) {
  // beta1 = 0 and a moment that starts at 0, corrected: g / (|g| + 1e-8).
  const Setting setting;
  v1::ReptileSettings settings;
  settings.set_adaptation_steps(1);
  settings.set_inner_optimizer("adam");
  settings.set_inner_learning_rate(1);
  const at::Tensor gradient =
      setting.gradients->Compute(setting.theta, Joined(setting.task), false).gradient;
  const at::Tensor expected = gradient / (gradient.abs() + 1e-8);
  EXPECT_LT(RelativeError(UpdateOf(*MakeLearner("reptile", settings), setting), expected), 1e-5);
}

TEST(FedavgTest, OneClientIsLocalTraining) {
  // Two epochs over 12 examples in full batches: two plain steps of SGD.
  const Setting setting;
  v1::FedavgSettings settings;
  settings.set_learning_rate(0.2);
  settings.set_batch_size(0);
  settings.set_local_epochs(2);
  const auto learner = MakeLearner("fedavg", settings);
  FakeSource source({});
  Rng rng = TestRng(9);
  Rng twin = TestRng(9);
  std::vector<ClientWork> work = {{.tasks = &source, .rng = &rng}};
  const std::vector<float> state(setting.theta.data_ptr<float>(),
                                 setting.theta.data_ptr<float>() + setting.theta.numel());
  const auto results = learner->ComputeUpdates(
      {.model = *setting.model, .objective = setting.objective}, state, work);
  const TaskSet examples = source.Examples(twin).value();
  at::Tensor w = setting.theta;
  for (int step = 0; step < 2; ++step) {
    w = w - setting.gradients->Compute(w, examples, false).gradient * 0.2;
  }
  EXPECT_LT(RelativeError(setting.theta - at::tensor(results[0].value().update), w), 1e-6);
  EXPECT_EQ(results[0].value().weight, 12);
}

TEST(FedavgTest, WeightIsCapped) {
  v1::FedavgSettings settings;
  settings.set_maximum_weight(5);
  const auto learner = MakeLearner("fedavg", settings);
  EXPECT_EQ(learner->maximum_weight(), 5);
  const Setting setting;
  FakeSource source({});
  Rng rng = TestRng();
  std::vector<ClientWork> work = {{.tasks = &source, .rng = &rng}};
  Rng initial = TestRng();
  const auto results =
      learner->ComputeUpdates({.model = *setting.model, .objective = setting.objective},
                              setting.model->InitialParameters(initial), work);
  EXPECT_EQ(results[0].value().weight, 5);
}

TEST(InnerLoopTest, ShuffledPassesSeeEveryExampleOnceAPass) {
  // A linear model with mean squared error: the gradient of a pass's batches sums to that of the
  // whole set at rate 0.
  const Setting setting;
  Rng rng = TestRng(4);
  const TaskSet examples = Joined(setting.task);  // 15 examples: batches of 4, 4, 4, 3
  const InnerLoopOptions loop{.learning_rate = 0, .steps = 4, .batch_size = 4};
  const InnerResult result =
      RunInnerLoop(*setting.gradients, setting.theta, examples, loop, &rng, KeepSteps::kNone);
  const MetricSums whole = setting.gradients->Measure(setting.theta, examples);
  EXPECT_EQ(result.last_pass.examples, 15);
  EXPECT_NEAR(result.last_pass.query_loss, whole.query_loss, 1e-5);
  EXPECT_EQ(result.last_pass.correct, whole.correct);
}

TEST(InnerLoopTest, GrowingLossIsDivergence) {
  // Mean squared error of a linear model in one input: a rate far above 2 / curvature makes it
  // grow.
  const auto model = MakeMlp({}, "relu", 1, 1);
  const auto gradients =
      MakeTaskGradients(*model, Objective(ObjectiveKind::kMeanSquaredError), at::kCPU);
  Rng rng = TestRng();
  const TaskSet set = RandomValues(1, 1, 8, rng, at::kFloat);
  const at::Tensor theta = InitialTensor(*model, at::kFloat);
  EXPECT_TRUE(RunInnerLoop(*gradients, theta, set, {.learning_rate = 10, .steps = 3}, nullptr,
                           KeepSteps::kNone)
                  .diverged);
  EXPECT_FALSE(RunInnerLoop(*gradients, theta, set, {.learning_rate = 0.1, .steps = 3}, nullptr,
                            KeepSteps::kNone)
                   .diverged);
}

std::vector<std::uint32_t> VisitedSteps(double rate, std::vector<std::uint32_t> steps,
                                        std::vector<at::Tensor>* points = nullptr) {
  const Setting setting;
  const std::vector<float> state(setting.theta.data_ptr<float>(),
                                 setting.theta.data_ptr<float>() + setting.theta.numel());
  std::vector<std::uint32_t> visited;
  TaskSet support = setting.task.support;
  const Status status =
      MakeLearner("maml", v1::MamlSettings())
          ->Adapt({.model = *setting.model, .objective = setting.objective}, *setting.gradients,
                  state, support, {.steps = std::move(steps), .learning_rate = rate},
                  [&](std::uint32_t k, const at::Tensor& phi) {
                    visited.push_back(k);
                    if (points) points->push_back(phi);
                  });
  EXPECT_TRUE(status.ok());
  return visited;
}

TEST(AdaptTest, VisitsTheWantedStepsFromZero) {
  std::vector<at::Tensor> points;
  EXPECT_EQ(VisitedSteps(0.1, {0, 1, 5}, &points), (std::vector<std::uint32_t>{0, 1, 5}));
  const Setting setting;
  EXPECT_TRUE(at::equal(points[0], setting.theta));
  const at::Tensor gradient =
      setting.gradients->Compute(setting.theta, setting.task.support, false).gradient;
  EXPECT_LT(RelativeError(points[1], setting.theta - gradient * 0.1), 1e-6);
}

TEST(AdaptTest, StopsWithoutErrorWhereTheLossIsNotFinite) {
  EXPECT_EQ(VisitedSteps(1e30, {0, 1, 2, 5}).front(), 0U);
  EXPECT_NE(VisitedSteps(1e30, {0, 1, 2, 5}).back(), 5U);
}

TEST(AdaptTest, RateZeroLeavesTheParameters) {
  std::vector<at::Tensor> points;
  (void)VisitedSteps(0, {3}, &points);
  EXPECT_TRUE(at::equal(points.at(0), Setting().theta));
}

}  // namespace
}  // namespace fedmeta
