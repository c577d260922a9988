#include "fedmeta/client/evaluator.h"

#include <cstring>

#include "client_fixtures.h"
#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fedmeta/client/task_source.h"

namespace fedmeta {
namespace {

using testing::Each;
using testing::ElementsAreArray;
using testing::HasSubstr;
using testing::Not;
using testing::SizeIs;

// The small network: layers.0.weight [8, 4], layers.0.bias [8], then the head.
constexpr std::size_t kBody = 8 * 4 + 8;

Episode Draw(const TestLeg& leg, std::uint32_t number = 0, v1::Part part = v1::PART_TEST) {
  return DrawEpisode(*leg.runtime, leg.state, leg.self(), part, 1, number, at::kCPU).value();
}

std::span<const float> BodyOf(const std::vector<float>& parameters) {
  return std::span(parameters).first(kBody);
}
std::span<const float> HeadOf(const std::vector<float>& parameters) {
  return std::span(parameters).subspan(kBody);
}

TEST(StartingParametersTest, MetaLearnedModelStartsAtTheState) {
  const TestLeg leg(MakeAssignment(Maml(), EpisodicTasks(3, 1, 2), 3), Clouds(5, 8));
  EXPECT_EQ(Draw(leg).start, leg.state);
}

TEST(StartingParametersTest, MethodThatTrainsNothingStartsAfresh) {
  const TestLeg leg(MakeAssignment(Local(), EpisodicTasks(3, 1, 2), 3), Clouds(5, 8));
  const std::vector<float> start = Draw(leg, 0).start;
  EXPECT_THAT(start, SizeIs(ParameterCount(*leg.runtime->task_model)));
  EXPECT_NE(start, leg.state);
  EXPECT_NE(start, Draw(leg, 1).start) << "every episode has a start of its own";
  EXPECT_EQ(start, Draw(leg, 0).start) << "and always the same";
}

TEST(StartingParametersTest, AveragedModelKeepsItsBodyAndGetsAHeadOfTheTasksSize) {
  const TestLeg leg(MakeAssignment(Fedavg(), EpisodicTasks(3, 1, 2), 5), Clouds(5, 8));
  const std::vector<float> start = Draw(leg).start;
  EXPECT_THAT(BodyOf(start), ElementsAreArray(BodyOf(leg.state)));
  EXPECT_THAT(HeadOf(start), SizeIs(3 * 8 + 3));
}

TEST(StartingParametersTest, AveragedModelGetsANewHeadWhereTasksNumberTheirClassesAnew) {
  const TestLeg leg(MakeAssignment(Fedavg(), EpisodicTasks(3, 1, 2), 3), Clouds(3, 8));
  const std::vector<float> start = Draw(leg).start;
  EXPECT_THAT(BodyOf(start), ElementsAreArray(BodyOf(leg.state)));
  EXPECT_THAT(HeadOf(start), Not(ElementsAreArray(HeadOf(leg.state))));
}

TEST(StartingParametersTest, AveragedModelKeepsItsHeadUnderTheSitesOwnLabels) {
  const TestLeg leg(MakeAssignment(Fedavg(), SplitTasks(0.5, 0), 3), Clouds(3, 8));
  EXPECT_EQ(Draw(leg).start, leg.state);
}

TEST(DrawEpisodeTest, EveryMethodSeesTheSameEpisodes) {
  const OpenedSource source = Clouds(5, 8);
  const v1::Plugin tasks = EpisodicTasks(3, 1, 2);
  const TestLeg maml(MakeAssignment(Maml(), tasks, 3), source);
  const TestLeg fedavg(MakeAssignment(Fedavg(), tasks, 5), source);
  const TestLeg local(MakeAssignment(Local(), tasks, 3), source);
  Draw(local, 7);  // what was drawn before does not matter
  for (const std::uint32_t number : {0U, 1U, 2U}) {
    const Episode expected = Draw(maml, number);
    for (const TestLeg* leg : {&maml, &fedavg, &local}) {
      const Episode episode = Draw(*leg, number);
      EXPECT_TRUE(at::equal(episode.task.support.inputs, expected.task.support.inputs));
      EXPECT_TRUE(at::equal(episode.task.support.targets, expected.task.support.targets));
      EXPECT_TRUE(at::equal(episode.task.query.inputs, expected.task.query.inputs));
      EXPECT_TRUE(at::equal(episode.task.query.targets, expected.task.query.targets));
      EXPECT_EQ(episode.codes, expected.codes);
    }
  }
}

TEST(DrawEpisodeTest, NumberPartAndClientNameOtherEpisodes) {
  const OpenedSource source = Clouds(5, 8);
  const v1::Assignment assignment = MakeAssignment(Maml(), EpisodicTasks(3, 1, 2), 3);
  const TestLeg leg(assignment, source);
  const TestLeg other(assignment, source, "site-2");
  const at::Tensor first = Draw(leg).task.support.inputs;
  EXPECT_FALSE(at::equal(first, Draw(leg, 1).task.support.inputs));
  EXPECT_FALSE(at::equal(first, Draw(leg, 0, v1::PART_VALIDATION).task.support.inputs));
  EXPECT_FALSE(at::equal(first, Draw(other).task.support.inputs));
}

v1::Evaluate Asks(std::vector<std::uint32_t> shots, std::vector<double> rates,
                  std::vector<std::uint32_t> steps) {
  v1::Evaluate evaluate;
  evaluate.set_part(v1::PART_TEST);
  evaluate.mutable_shots()->Add(shots.begin(), shots.end());
  evaluate.mutable_learning_rates()->Add(rates.begin(), rates.end());
  evaluate.mutable_steps()->Add(steps.begin(), steps.end());
  evaluate.set_episodes(4);
  return evaluate;
}

using Arrays = std::vector<std::array<double, MetricSums::kSize>>;

// The cells of one client among `clients`, evaluated together.
Arrays CellsOf(std::size_t client, const v1::Evaluate& evaluate, const TestLeg& leg,
               std::span<const LocalClient> clients, std::size_t threads = 1) {
  const auto pool = MakeLearningPool(threads);
  const Objective objective(ObjectiveKind::kCrossEntropy);
  const auto results =
      EvaluateClients(evaluate, *leg.runtime, objective, at::kCPU, leg.state, clients, *pool);
  EXPECT_THAT(results, SizeIs(clients.size()));
  Arrays arrays;
  for (const MetricSums& cell : results[client].value()) arrays.push_back(cell.ToArray());
  return arrays;
}

class EvaluateClientsTest : public testing::Test {
 protected:
  EvaluateClientsTest()
      : assignment_(MakeAssignment(Maml(), EpisodicTasks(3, 1, 2), 3)),
        leg_(assignment_, Clouds(5, 8), "site-1"),
        other_(assignment_, Clouds(4, 9), "site-2") {}
  v1::Assignment assignment_;
  TestLeg leg_, other_;
};

TEST_F(EvaluateClientsTest, CellsAreShotsTimesRatesTimesStepsWithStepsFastest) {
  const std::vector<std::uint32_t> shots = {1, 2};
  const std::vector<double> rates = {0.1, 0.5};
  const std::vector<std::uint32_t> steps = {0, 1, 3};
  const std::vector<LocalClient> clients = {leg_.self()};
  const Arrays all = CellsOf(0, Asks(shots, rates, steps), leg_, clients);
  ASSERT_THAT(all, SizeIs(12));
  std::size_t cell = 0;
  for (const std::uint32_t shot : shots) {
    for (const double rate : rates) {
      for (const std::uint32_t step : steps) {
        const Arrays alone = CellsOf(0, Asks({shot}, {rate}, {step}), leg_, clients);
        EXPECT_EQ(all[cell], alone.front()) << "shots " << shot << " steps " << step;
        ++cell;
      }
    }
  }
  EXPECT_NE(all[1], all[2]);
  EXPECT_NE(all[2], all[5]);
  EXPECT_NE(all[5], all[11]);
}

TEST_F(EvaluateClientsTest, SumsCountEveryQueryExampleOnceAndTheClientOnce) {
  const std::vector<LocalClient> clients = {leg_.self()};
  const MetricSums cell =
      MetricSums::FromArray(CellsOf(0, Asks({1}, {0.1}, {1}), leg_, clients).front());
  EXPECT_EQ(cell.examples, 4 * 3 * 2) << "episodes x ways x queries";
  EXPECT_EQ(cell.tasks, 4);
  EXPECT_EQ(cell.clients, 1);
  EXPECT_EQ(cell.mean_loss, cell.query_loss / cell.examples);
}

TEST_F(EvaluateClientsTest, ResultsDoNotDependOnThePoolOrTheGrouping) {
  const v1::Evaluate evaluate = Asks({1, 2}, {0.1}, {0, 2});
  const std::vector<LocalClient> both = {leg_.self(), other_.self()};
  const std::vector<LocalClient> alone = {other_.self()};
  const Arrays expected = CellsOf(1, evaluate, leg_, both, 1);
  EXPECT_EQ(CellsOf(1, evaluate, leg_, both, 3), expected);
  EXPECT_EQ(CellsOf(0, evaluate, leg_, alone, 1), expected);
  EXPECT_EQ(CellsOf(0, evaluate, leg_, alone, 3), expected);
}

TEST_F(EvaluateClientsTest, RateThatDivergesIsCountedAndLeftOut) {
  const std::vector<LocalClient> clients = {leg_.self()};
  const Arrays cells = CellsOf(0, Asks({1}, {0.1, 1e30}, {0, 3}), leg_, clients);
  const auto cell = [&](std::size_t i) { return MetricSums::FromArray(cells[i]); };
  for (const std::size_t sound : {0U, 1U, 2U}) {
    EXPECT_EQ(cell(sound).diverged_tasks, 0) << sound;
    EXPECT_EQ(cell(sound).examples, 24) << sound;
  }
  EXPECT_EQ(cell(3).tasks, 4);
  EXPECT_EQ(cell(3).diverged_tasks, 4);
  EXPECT_EQ(cell(3).examples, 0);
  EXPECT_EQ(cell(3).query_loss, 0);
  EXPECT_EQ(cell(3).clients, 0) << "a client without a figure is not in the mean over clients";
}

class FailingTasks final : public TaskGenerator {
 public:
  Status CanDraw(DataPart, std::int64_t) const override { return {}; }
  Result<TaskExamples> Draw(DataPart, std::int64_t, Rng&) override {
    return Error(ErrorCode::kFailedPrecondition, "too few classes");
  }
  Result<ExampleSet> TrainingExamples(Rng&) override {
    return Error(ErrorCode::kFailedPrecondition, "too few classes");
  }
  TargetKind target_kind() const override { return TargetKind::kClass; }
  std::int64_t task_outputs() const override { return 3; }
  bool relabels() const override { return true; }
  std::size_t examples() const override { return 1; }
};

TEST_F(EvaluateClientsTest, FailureOfOneClientIsItsOwn) {
  FailingTasks failing;
  const std::vector<LocalClient> clients = {
      leg_.self(), {.name = "site-3", .tasks = &failing}, other_.self()};
  const v1::Evaluate evaluate = Asks({1}, {0.1}, {0, 1});
  const auto pool = MakeLearningPool(2);
  const Objective objective(ObjectiveKind::kCrossEntropy);
  const auto results =
      EvaluateClients(evaluate, *leg_.runtime, objective, at::kCPU, leg_.state, clients, *pool);
  ASSERT_THAT(results, SizeIs(3));
  ASSERT_FALSE(results[1].ok());
  EXPECT_THAT(results[1].error().message(), HasSubstr("too few classes"));
  const std::vector<LocalClient> last = {other_.self()};
  const Arrays expected = CellsOf(0, evaluate, leg_, last);
  for (std::size_t i = 0; i < expected.size(); ++i) {
    EXPECT_EQ(results[2].value()[i].ToArray(), expected[i]);
  }
}

}  // namespace
}  // namespace fedmeta
