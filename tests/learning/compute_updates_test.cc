#include <deque>
#include <limits>

#include "learning_fixtures.h"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fedmeta/algorithms/meta/libtorch_process.h"

namespace fedmeta {
namespace {

using testing::HasSubstr;

/// Clients with sources and streams of their own, as a round has them.
struct Cohort {
  explicit Cohort(std::vector<FakeSource::Options> options) {
    for (const auto& each : options) {
      sources.emplace_back(each);
      streams.push_back(TestRng(100 + streams.size()));
    }
    for (std::size_t i = 0; i < sources.size(); ++i) {
      work.push_back({.tasks = &sources[i], .rng = &streams[i]});
    }
  }
  std::deque<FakeSource> sources;
  std::deque<Rng> streams;
  std::vector<ClientWork> work;
};

std::vector<float> InitialState(const Model& model) {
  Rng rng = TestRng(3);
  return MakeLearner("maml", v1::MamlSettings())->InitialState(model, rng).value();
}

std::vector<std::unique_ptr<MetaLearner>> TrainingLearners() {
  std::vector<std::unique_ptr<MetaLearner>> learners;
  v1::MamlSettings maml;
  maml.set_adaptation_steps(2);
  learners.push_back(MakeLearner("maml", maml));
  v1::FomamlSettings fomaml;
  learners.push_back(MakeLearner("fomaml", fomaml));
  v1::ReptileSettings reptile;
  reptile.set_inner_optimizer("adam");
  reptile.set_batch_size(4);
  reptile.set_tasks_per_round(3);
  learners.push_back(MakeLearner("reptile", reptile));
  v1::FedavgSettings fedavg;
  fedavg.set_batch_size(5);
  fedavg.set_local_epochs(2);
  learners.push_back(MakeLearner("fedavg", fedavg));
  return learners;
}

struct NetCase {
  std::string name;
  std::unique_ptr<Model> model;
  FakeSource::Options source;
};

std::vector<NetCase> Nets() {
  std::vector<NetCase> nets;
  nets.push_back({"mlp", MakeMlp({40, 40}, "relu", 3, 3), {}});
  nets.push_back({"conv4", MakeConv4(SmallConv4(true), {1, 16, 16}, 3), {.example = {1, 16, 16}}});
  for (const char* normalization : {"averaged", "local", "frozen"}) {
    v1::Conv4Settings settings = SmallConv4(true);
    settings.set_normalization(normalization);
    nets.push_back({normalization, MakeConv4(settings, {1, 16, 16}, 3), {.example = {1, 16, 16}}});
  }
  return nets;
}

/// What each client sends and keeps.
std::vector<std::pair<std::vector<float>, Bytes>> Updates(const MetaLearner& learner,
                                                          const NetCase& net, WorkerPool* pool,
                                                          std::size_t group) {
  Cohort cohort(std::vector<FakeSource::Options>(5, net.source));
  const std::vector<float> state = InitialState(*net.model);
  const Objective objective(ObjectiveKind::kCrossEntropy);
  const LearnContext context{.model = *net.model, .objective = objective, .pool = pool};
  std::vector<std::pair<std::vector<float>, Bytes>> updates;
  for (std::size_t first = 0; first < cohort.work.size(); first += group) {
    const std::size_t count = std::min(group, cohort.work.size() - first);
    auto results =
        learner.ComputeUpdates(context, state, std::span(cohort.work).subspan(first, count));
    for (auto& result : results) {
      ClientUpdate client = std::move(result).value();
      updates.emplace_back(std::move(client.update), std::move(client.next_state));
    }
  }
  return updates;
}

TEST(ComputeUpdatesTest, NeitherThreadsNorGroupingChangeABit) {
  WorkerPool one(1, UseOneLibtorchThread);
  WorkerPool two(2, UseOneLibtorchThread);
  for (const NetCase& net : Nets()) {
    for (const auto& learner : TrainingLearners()) {
      const auto expected = Updates(*learner, net, nullptr, 5);
      EXPECT_EQ(Updates(*learner, net, nullptr, 1), expected) << net.name;
      EXPECT_EQ(Updates(*learner, net, &one, 2), expected) << net.name;
      EXPECT_EQ(Updates(*learner, net, &two, 5), expected) << net.name;
      EXPECT_EQ(Updates(*learner, net, &two, 3), expected) << net.name;
    }
  }
}

TEST(ComputeUpdatesTest, OneClientsFailureTouchesNoOther) {
  NetCase net = std::move(Nets().front());
  const auto learner = MakeLearner("maml", v1::MamlSettings());
  const auto expected = Updates(*learner, net, nullptr, 5);
  std::vector<FakeSource::Options> options(5, net.source);
  options[1].fail = true;
  options[2].classes = 7;  // more labels than the model has outputs
  options[2].support = 7;
  options[3].input_scale = 1e30;  // overflows in the first forward pass
  Cohort cohort(options);
  WorkerPool pool(2, UseOneLibtorchThread);
  const Objective objective(ObjectiveKind::kCrossEntropy);
  const auto results =
      learner->ComputeUpdates({.model = *net.model, .objective = objective, .pool = &pool},
                              InitialState(*net.model), cohort.work);
  ASSERT_EQ(results.size(), 5U);
  EXPECT_EQ(results[0].value().update, expected[0].first);
  EXPECT_EQ(results[4].value().update, expected[4].first);
  EXPECT_EQ(results[1].error().message(), "too few classes");
  EXPECT_THAT(results[2].error().message(), HasSubstr("a label lies outside"));
  EXPECT_THAT(results[3].error().message(), HasSubstr("diverged in all 4 tasks"));
}

/// Every second task is far too large for the learning rate.
class HalfWildSource : public FakeSource {
 public:
  using FakeSource::FakeSource;
  Result<Task> Draw(Rng& rng, std::int64_t support_per_class) override {
    FEDMETA_ASSIGN_OR_RETURN(Task task, FakeSource::Draw(rng, support_per_class));
    if (++drawn_ % 2 == 0) task.support.inputs.mul_(1e30);
    return task;
  }

 private:
  int drawn_ = 0;
};

TEST(ComputeUpdatesTest, DivergedTasksAreLeftOutAndCounted) {
  const auto model = MakeMlp({8}, "relu", 3, 3);
  const Objective objective(ObjectiveKind::kCrossEntropy);
  v1::MamlSettings settings;
  settings.set_tasks_per_round(4);
  HalfWildSource source(FakeSource::Options{});
  Rng rng = TestRng();
  std::vector<ClientWork> work = {{.tasks = &source, .rng = &rng}};
  const auto results =
      MakeLearner("maml", settings)
          ->ComputeUpdates({.model = *model, .objective = objective}, InitialState(*model), work);
  const ClientUpdate& client = results[0].value();
  EXPECT_EQ(client.metrics.tasks, 4);
  EXPECT_EQ(client.metrics.diverged_tasks, 2);
  EXPECT_EQ(client.metrics.examples, 2 * 9);  // query examples of the two tasks that count
  EXPECT_EQ(client.metrics.clients, 1);
  EXPECT_NEAR(client.metrics.mean_loss, client.metrics.query_loss / 18, 1e-12);
  for (const float value : client.update) EXPECT_TRUE(std::isfinite(value));
}

TEST(ComputeUpdatesTest, UpdateIsTheMeanOverTasks) {
  const auto model = MakeMlp({8}, "relu", 3, 3);
  const Objective objective(ObjectiveKind::kCrossEntropy);
  v1::FomamlSettings settings;
  settings.set_tasks_per_round(3);
  const auto learner = MakeLearner("fomaml", settings);
  const std::vector<float> state = InitialState(*model);
  FakeSource source({});
  Rng rng = TestRng();
  Rng twin = TestRng();
  std::vector<ClientWork> work = {{.tasks = &source, .rng = &rng}};
  const auto results =
      learner->ComputeUpdates({.model = *model, .objective = objective}, state, work);
  at::Tensor sum = at::zeros({static_cast<std::int64_t>(state.size())}, at::kDouble);
  const auto gradients = MakeTaskGradients(*model, objective, at::kCPU);
  for (int t = 0; t < 3; ++t) {
    const Task task = source.Draw(twin, 0).value();
    (void)twin.Next64();  // the seed of the task's own stream
    Rng own = TestRng();
    sum += TaskPart(*learner).LearnTask(*gradients, at::tensor(state), task, own)->update;
  }
  EXPECT_LT(RelativeError(at::tensor(results[0].value().update), sum / 3), 1e-6);
  EXPECT_EQ(results[0].value().weight, 1);
}

TEST(ComputeUpdatesTest, AStateOfAnotherSizeIsRefused) {
  const auto model = MakeMlp({8}, "relu", 3, 3);
  const Objective objective(ObjectiveKind::kCrossEntropy);
  Cohort cohort(std::vector<FakeSource::Options>(1));
  const auto results = MakeLearner("maml", v1::MamlSettings())
                           ->ComputeUpdates({.model = *model, .objective = objective},
                                            std::vector<float>(5), cohort.work);
  EXPECT_EQ(results[0].error().message(), "state must have 59 coordinates, got 5");
}

TEST(LocalTest, HasNoTrainingRounds) {
  const auto model = MakeMlp({}, "relu", 3, 3);
  const Objective objective(ObjectiveKind::kCrossEntropy);
  const auto local = MakeLearner("local", v1::LocalSettings());
  EXPECT_FALSE(local->trains());
  Cohort cohort(std::vector<FakeSource::Options>(1));
  const auto results = local->ComputeUpdates({.model = *model, .objective = objective},
                                             InitialState(*model), cohort.work);
  EXPECT_EQ(results[0].error().code(), ErrorCode::kFailedPrecondition);
}

}  // namespace
}  // namespace fedmeta
