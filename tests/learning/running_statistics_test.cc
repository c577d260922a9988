// Statistics of normalisation: where they stand, and how a round moves them.
#include "fedmeta/algorithms/meta/running_statistics.h"

#include <numeric>

#include "learning_fixtures.h"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace fedmeta {
namespace {

using testing::ElementsAreArray;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

constexpr double kMomentum = 0.25;

std::unique_ptr<Model> Conv4With(const std::string& normalization) {
  v1::Conv4Settings settings = SmallConv4(true);
  settings.set_normalization(normalization);
  settings.set_statistics_momentum(kMomentum);
  return MakeConv4(settings, {1, 16, 16}, 3);
}

/// Adaptation in no steps, so that phi is theta and a test can take the statistics itself.
std::unique_ptr<MetaLearner> Learner(std::uint32_t tasks = 2) {
  v1::FomamlSettings settings;
  settings.set_adaptation_steps(0);
  settings.set_tasks_per_round(tasks);
  return MakeLearner("fomaml", settings);
}

std::vector<float> ValuesOf(const at::Tensor& tensor) {
  const at::Tensor flat = tensor.contiguous();
  return {flat.data_ptr<float>(), flat.data_ptr<float>() + flat.numel()};
}

class RunningStatisticsTest : public testing::Test {
 protected:
  static FakeSource Source() { return FakeSource({.example = {1, 16, 16}}); }

  std::vector<float> State(const Model& model) const {
    Rng rng = TestRng(3);
    return Learner()->InitialState(model, rng).value();
  }
  Result<ClientUpdate> Round(const Model& model, std::span<const float> state,
                             std::span<const std::byte> kept = {}) const {
    FakeSource source = Source();
    Rng rng = TestRng();
    std::vector<ClientWork> work = {{.tasks = &source, .state = kept, .rng = &rng}};
    return std::move(
        Learner()->ComputeUpdates({.model = model, .objective = objective_}, state, work).front());
  }
  /// What Round's two query sets have on average at theta.
  std::vector<float> OfTheRound(const Model& model, std::span<const float> state) const {
    FakeSource source = Source();
    Rng rng = TestRng();
    const auto gradients = MakeAutogradGradients(model, objective_);
    const at::Tensor theta = at::tensor(std::vector<float>(state.begin(), state.end()))
                                 .narrow(0, 0, static_cast<std::int64_t>(ParameterCount(model)));
    at::Tensor sum;
    for (int t = 0; t < 2; ++t) {
      const Task task = source.Draw(rng, 0).value();
      (void)rng.Next64();  // the seed of the task's own stream
      const at::Tensor own = gradients->Statistics(theta, task.query);
      sum = sum.defined() ? sum + own : own;
    }
    return ValuesOf(sum / 2);
  }

  const Objective objective_{ObjectiveKind::kCrossEntropy};
};

void ExpectNear(std::span<const float> actual, std::span<const float> expected) {
  ASSERT_EQ(actual.size(), expected.size());
  for (std::size_t i = 0; i < actual.size(); ++i) EXPECT_NEAR(actual[i], expected[i], 1e-5) << i;
}

TEST_F(RunningStatisticsTest, AveragedOnesAreASegmentOfTheirOwnWithTheMeanAsRule) {
  const StateLayout layout = Learner()->DescribeState(*Conv4With("averaged")).value();
  ASSERT_THAT(layout.segments(), SizeIs(2));
  const Segment& segment = layout.segments()[1];
  EXPECT_EQ(segment.name, "statistics");
  EXPECT_EQ(segment.rule, ServerRule::kMean);
  ASSERT_THAT(segment.tensors, SizeIs(8));
  EXPECT_EQ(segment.tensors[0].name, "blocks.0.norm.running_mean");
  EXPECT_EQ(segment.tensors[1].name, "blocks.0.norm.running_var");
  EXPECT_EQ(segment.tensors[1].kind, TensorKind::kBuffer);
}

TEST_F(RunningStatisticsTest, FrozenOnesAreASegmentThatNothingMoves) {
  const StateLayout layout = Learner()->DescribeState(*Conv4With("frozen")).value();
  ASSERT_THAT(layout.segments(), SizeIs(2));
  EXPECT_EQ(layout.segments()[1].rule, ServerRule::kAccumulate);
  EXPECT_EQ(layout.segments()[1].scale, 0);
}

TEST_F(RunningStatisticsTest, OthersAreNotExchanged) {
  for (const char* normalization : {"batch", "local", "group", "none"}) {
    const auto model = Conv4With(normalization);
    EXPECT_THAT(Learner()->DescribeState(*model).value().segments(), SizeIs(1)) << normalization;
    EXPECT_THAT(State(*model), SizeIs(ParameterCount(*model))) << normalization;
  }
}

TEST_F(RunningStatisticsTest, StartAtMeanZeroAndVarianceOne) {
  const auto model = Conv4With("averaged");
  const std::vector<float> state = State(*model);
  const auto statistics = std::span(state).subspan(ParameterCount(*model));
  ASSERT_THAT(statistics, SizeIs(8 * 4));
  EXPECT_EQ(statistics[0], 0);
  EXPECT_EQ(statistics[4], 1);
  EXPECT_EQ(statistics[8], 0);
}

TEST_F(RunningStatisticsTest, TrainingIsThatOfBatchModels) {
  const auto batch = Conv4With("batch");
  const std::vector<float> expected = Round(*batch, State(*batch)).value().update;
  for (const char* normalization : {"averaged", "local"}) {
    const auto model = Conv4With(normalization);
    const std::vector<float> update = Round(*model, State(*model)).value().update;
    EXPECT_THAT(std::span(update).first(expected.size()), ElementsAreArray(expected));
  }
}

TEST_F(RunningStatisticsTest, AveragedOnesMoveTowardsThoseOfTheRound) {
  const auto model = Conv4With("averaged");
  std::vector<float> state = State(*model);
  const std::size_t theta = ParameterCount(*model);
  std::iota(state.begin() + static_cast<std::ptrdiff_t>(theta), state.end(), 1.0F);
  const std::vector<float> round = OfTheRound(*model, state);
  std::vector<float> expected;
  for (std::size_t i = 0; i < round.size(); ++i) {
    expected.push_back(
        static_cast<float>((1 - kMomentum) * state[theta + i] + kMomentum * round[i]));
  }
  const ClientUpdate client = Round(*model, state).value();
  ExpectNear(std::span(client.update).subspan(theta), expected);
  EXPECT_THAT(client.next_state, IsEmpty());
}

TEST_F(RunningStatisticsTest, FrozenOnesAreSentAsZeros) {
  const auto model = Conv4With("frozen");
  const ClientUpdate client = Round(*model, State(*model)).value();
  EXPECT_THAT(std::span(client.update).subspan(ParameterCount(*model)), testing::Each(0.0F));
  EXPECT_THAT(client.update, SizeIs(StateSize(*model)));
}

TEST_F(RunningStatisticsTest, LocalOnesStayWithTheClient) {
  const auto model = Conv4With("local");
  const std::vector<float> state = State(*model);
  const std::vector<float> round = OfTheRound(*model, state);
  const ClientUpdate first = Round(*model, state).value();
  EXPECT_THAT(first.update, SizeIs(ParameterCount(*model))) << "nothing of them leaves";
  ExpectNear(UnpackStatistics(*model, first.next_state).value(), round);

  const std::vector<float> kept(round.size(), 2.0F);
  std::vector<float> expected;
  for (const float value : round)
    expected.push_back(static_cast<float>((1 - kMomentum) * 2 + kMomentum * value));
  const ClientUpdate second = Round(*model, state, PackStatistics(kept)).value();
  ExpectNear(UnpackStatistics(*model, second.next_state).value(), expected);
  EXPECT_EQ(second.update, first.update) << "training takes those of the batch";
}

TEST_F(RunningStatisticsTest, KeptOnesOfAnotherModelAreRefused) {
  const auto model = Conv4With("local");
  const auto result = Round(*model, State(*model), PackStatistics(std::vector<float>(5)));
  ASSERT_FALSE(result.ok());
  EXPECT_THAT(result.error().message(), HasSubstr("must have 128 bytes, got 20"));
}

TEST_F(RunningStatisticsTest, OfASetGiveTheOutputsThatTheSetHasAsABatch) {
  const auto model = Conv4With("averaged");
  const auto gradients = MakeAutogradGradients(*model, objective_);
  Rng rng = TestRng();
  const at::Tensor theta = InitialTensor(*model, at::kDouble);
  const TaskSet set = RandomClasses({1, 16, 16}, 3, 6, rng);
  const at::Tensor own = gradients->Statistics(theta, set);
  EXPECT_NEAR(gradients->Measure(theta, set, own).query_loss,
              gradients->Measure(theta, set).query_loss, 1e-9);
}

TEST_F(RunningStatisticsTest, GivenOnesMakeEachExampleIndependentOfTheOthers) {
  const auto model = Conv4With("averaged");
  const auto gradients = MakeAutogradGradients(*model, objective_);
  Rng rng = TestRng();
  const at::Tensor theta = InitialTensor(*model, at::kDouble);
  const TaskSet set = RandomClasses({1, 16, 16}, 3, 6, rng);
  const at::Tensor given = gradients->Statistics(theta, RandomClasses({1, 16, 16}, 3, 9, rng));
  double sum = 0;
  for (std::int64_t i = 0; i < 6; ++i) {
    const TaskSet one{set.inputs.narrow(0, i, 1), set.targets.narrow(0, i, 1)};
    sum += gradients->Measure(theta, one, given).query_loss;
  }
  EXPECT_NEAR(gradients->Measure(theta, set, given).query_loss, sum, 1e-9);
  EXPECT_GT(std::abs(gradients->Measure(theta, set).query_loss - sum), 1e-3);
}

TEST_F(RunningStatisticsTest, FrozenOnesServeInTrainingToo) {
  const auto model = Conv4With("frozen");
  const at::Tensor statistics = at::rand({8 * 4}, at::kDouble) + 0.5;
  const auto gradients = MakeAutogradGradients(*model, objective_, statistics);
  const auto unfrozen = MakeAutogradGradients(*Conv4With("averaged"), objective_);
  Rng rng = TestRng();
  const at::Tensor theta = InitialTensor(*model, at::kDouble);
  const TaskSet set = RandomClasses({1, 16, 16}, 3, 6, rng);
  const double expected = unfrozen->Measure(theta, set, statistics).query_loss / 6;
  EXPECT_NEAR(gradients->Compute(theta, set, false).loss, expected, 1e-9);
  EXPECT_NEAR(gradients->Compute(theta, set, true).loss, expected, 1e-9);
  EXPECT_NEAR(gradients->Measure(theta, set).query_loss / 6, expected, 1e-9);
}

TEST_F(RunningStatisticsTest, ANegativeVarianceCountsAsZero) {
  const auto model = Conv4With("averaged");
  const auto gradients = MakeAutogradGradients(*model, objective_);
  Rng rng = TestRng();
  const TaskSet set = RandomClasses({1, 16, 16}, 3, 6, rng);
  const at::Tensor hostile = at::full({8 * 4}, -1.0, at::kDouble);
  EXPECT_TRUE(std::isfinite(
      gradients->Measure(InitialTensor(*model, at::kDouble), set, hostile).query_loss));
}

}  // namespace
}  // namespace fedmeta
