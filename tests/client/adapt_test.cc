#include "fedmeta/client/adapt.h"

#include "client_fixtures.h"
#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fedmeta/client/evaluator.h"

namespace fedmeta {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

/// One site over Clouds and an untrained model: adapting helps, because the clouds lie apart.
class AdaptTest : public testing::Test {
 protected:
  TrainedModel Model(const v1::Plugin& tasks, const OpenedSource& source) const {
    const v1::Assignment assignment = MakeAssignment(Maml(), tasks, 3);
    return {.assignment = assignment,
            .method = "maml",
            .state = TestLeg(assignment, source).state,
            .tuned = {}};
  }
  Result<AdaptedSite> Adapt(const TrainedModel& model, const OpenedSource& source,
                            const AdaptRequest& request) {
    return AdaptToSite(model, TestRegistries(), source, "site-1", request, *pool_);
  }
  AdaptedSite Adapted(const TrainedModel& model, const OpenedSource& source,
                      const AdaptRequest& request = {.shots = 0, .steps = {}, .episodes = 10}) {
    Result<AdaptedSite> site = Adapt(model, source, request);
    EXPECT_TRUE(site.ok()) << (site.ok() ? "" : site.error().message());
    return std::move(site).value();
  }

  const OpenedSource clouds_ = Clouds(3, 40);
  const v1::Plugin split_ = SplitTasks(0.3, 0.3);
  const v1::Plugin episodic_ = EpisodicTasks(3, 1, 4);
  const std::unique_ptr<WorkerPool> pool_ = MakeLearningPool(2);
};

std::vector<std::uint32_t> StepsOf(const AdaptedSite& site) {
  std::vector<std::uint32_t> steps;
  for (const AdaptFigure& figure : site.figures) steps.push_back(figure.steps);
  return steps;
}

TEST_F(AdaptTest, StepsAndRateOfASingleTaskAreChosenOnItsValidationRows) {
  TrainedModel model = Model(split_, clouds_);
  model.tuned[0] = {.learning_rate = 0.01, .steps = 1, .rate_of_steps = {{1, 0.01}, {4, 0.2}}};
  const AdaptedSite site = Adapted(model, clouds_);
  // The same choice by another road: losses of the validation part, cell by cell.
  const TestLeg leg(model.assignment, clouds_);
  v1::Evaluate evaluate;
  evaluate.set_part(v1::PART_VALIDATION);
  evaluate.add_shots(0);
  for (const double rate : {0.01, 0.2}) evaluate.add_learning_rates(rate);
  for (const std::uint32_t steps : {0U, 1U, 4U}) evaluate.add_steps(steps);
  evaluate.set_episodes(1);
  const LocalClient self = leg.self();
  const auto cells =
      std::move(EvaluateClients(evaluate, *leg.runtime, Objective(ObjectiveKind::kCrossEntropy),
                                at::kCPU, leg.state, {&self, 1}, *pool_)
                    .front())
          .value();
  const auto best = std::min_element(
      cells.begin(), cells.end(),
      [](const MetricSums& a, const MetricSums& b) { return a.mean_loss < b.mean_loss; });
  const auto index = static_cast<std::size_t>(best - cells.begin());
  EXPECT_EQ(site.chosen.steps, evaluate.steps(static_cast<int>(index % 3)));
  EXPECT_EQ(site.chosen.learning_rate, evaluate.learning_rates(static_cast<int>(index / 3)));
  EXPECT_GT(site.chosen.steps, 0U) << "or the test shows nothing";
  EXPECT_THAT(site.choice, HasSubstr("validation rows"));
  EXPECT_EQ(site.episodes, 1U);
  EXPECT_THAT(StepsOf(site), ElementsAre(0, 1, 4));
}

TEST_F(AdaptTest, ModelStaysAsItIsWhenNoStepIsBetterOnValidation) {
  TrainedModel model = Model(split_, clouds_);
  model.tuned[0] = {.learning_rate = 1e20, .steps = 3, .rate_of_steps = {{1, 1e20}}};
  const AdaptedSite site = Adapted(model, clouds_);
  EXPECT_EQ(site.chosen.steps, 0U);
  EXPECT_EQ(site.parameters, model.state);
}

TEST_F(AdaptTest, SettingsTunedInTrainingTravelWithTheModel) {
  TrainedModel model = Model(episodic_, clouds_);
  model.tuned[1] = {.learning_rate = 0.3, .steps = 2, .rate_of_steps = {{0, 0.1}, {5, 0.2}}};
  model.tuned[5] = {.learning_rate = 0.7, .steps = 4, .rate_of_steps = {}};
  AdaptedSite site = Adapted(model, clouds_, {.shots = 2, .steps = {}, .episodes = 10});
  EXPECT_EQ(site.chosen.steps, 2U) << "of the nearest number of shots";
  EXPECT_EQ(site.chosen.learning_rate, 0.3);
  EXPECT_THAT(site.choice, HasSubstr("travelled with the model"));
  EXPECT_THAT(StepsOf(site), ElementsAre(0, 2, 5));
  EXPECT_EQ(site.figures[2].learning_rate, 0.2) << "each step count at its own rate";
  site = Adapted(model, clouds_, {.shots = 4, .steps = {}, .episodes = 10});
  EXPECT_EQ(site.chosen.steps, 4U);
  EXPECT_EQ(site.chosen.learning_rate, 0.7);
}

TEST_F(AdaptTest, WithoutTunedSettingsTheAlgorithmsDefaultsAreSaid) {
  const AdaptedSite site = Adapted(Model(episodic_, clouds_), clouds_);
  EXPECT_EQ(site.chosen.steps, 1U);
  EXPECT_EQ(site.chosen.learning_rate, 0.1) << "maml's inner_learning_rate";
  EXPECT_THAT(site.choice, HasSubstr("defaults"));
}

TEST_F(AdaptTest, AskedStepsAreTakenWhateverIsTuned) {
  for (const v1::Plugin& tasks : {split_, episodic_}) {
    TrainedModel model = Model(tasks, clouds_);
    model.tuned[1] = {.learning_rate = 0.3, .steps = 2, .rate_of_steps = {{5, 0.2}}};
    const AdaptedSite site = Adapted(model, clouds_, {.shots = 1, .steps = 3, .episodes = 4});
    EXPECT_EQ(site.chosen.steps, 3U);
    EXPECT_EQ(site.chosen.learning_rate, 0.3);
    EXPECT_THAT(site.choice, HasSubstr("--steps"));
    EXPECT_THAT(StepsOf(site), ElementsAre(0, 2, 3, 5));
  }
}

TEST_F(AdaptTest, IntervalsContainTheMean) {
  for (const v1::Plugin& tasks : {split_, episodic_}) {
    TrainedModel model = Model(tasks, clouds_);
    model.tuned[1] = {.learning_rate = 0.1, .steps = 2, .rate_of_steps = {{1, 0.1}}};
    const AdaptedSite site = Adapted(model, clouds_, {.shots = 1, .steps = {}, .episodes = 40});
    for (const AdaptFigure& figure : site.figures) {
      EXPECT_LE(figure.accuracy.low, figure.accuracy.value);
      EXPECT_LE(figure.accuracy.value, figure.accuracy.high);
      EXPECT_LT(figure.loss.low, figure.loss.value);
      EXPECT_LT(figure.loss.value, figure.loss.high);
      EXPECT_EQ(figure.diverged, 0U);
    }
  }
}

TEST_F(AdaptTest, MoreEpisodesNarrowTheInterval) {
  const TrainedModel model = Model(episodic_, clouds_);
  const auto width = [&](std::uint32_t episodes) {
    const AdaptFigure figure =
        Adapted(model, clouds_, {.shots = 1, .steps = 1, .episodes = episodes}).chosen;
    return figure.loss.high - figure.loss.low;
  };
  // 16 times the episodes: a quarter of the width, here with room for chance.
  EXPECT_LT(width(160), 0.6 * width(10));
}

TEST_F(AdaptTest, EpisodesThatDivergeAreCountedAndLeftOut) {
  TrainedModel model = Model(episodic_, clouds_);
  model.tuned[1] = {.learning_rate = 1e30, .steps = 0, .rate_of_steps = {{3, 1e30}}};
  const AdaptedSite site = Adapted(model, clouds_);
  EXPECT_EQ(site.figures[0].diverged, 0U);
  EXPECT_EQ(site.figures[1].diverged, 10U);
}

TEST_F(AdaptTest, StepsThatDivergeGiveNoModelToTakeAway) {
  TrainedModel model = Model(episodic_, clouds_);
  model.tuned[1] = {.learning_rate = 1e30, .steps = 3, .rate_of_steps = {}};
  const Result<AdaptedSite> site = Adapt(model, clouds_, {.shots = 1, .steps = {}, .episodes = 2});
  ASSERT_FALSE(site.ok());
  EXPECT_THAT(site.error().message(), HasSubstr("diverged"));
}

TEST_F(AdaptTest, ModelToTakeAwaySaysWhichClassEachOutputIs) {
  AdaptedSite site = Adapted(Model(episodic_, clouds_), clouds_);
  EXPECT_THAT(site.codes, testing::UnorderedElementsAre(0, 1, 2));
  EXPECT_THAT(site.parameters, SizeIs(8 * 4 + 8 + 3 * 8 + 3));
  site = Adapted(Model(split_, clouds_), clouds_);
  EXPECT_THAT(site.codes, IsEmpty()) << "the site's own labels";
}

TEST_F(AdaptTest, StateThatDoesNotFitIsRefused) {
  TrainedModel model = Model(episodic_, clouds_);
  model.state.pop_back();
  const Result<AdaptedSite> site = Adapt(model, clouds_, {.shots = 1, .steps = {}, .episodes = 2});
  ASSERT_FALSE(site.ok());
  EXPECT_EQ(site.error().code(), ErrorCode::kInvalidArgument);
}

TEST_F(AdaptTest, MoreShotsThanTheSiteHasAreRefused) {
  const Result<AdaptedSite> site =
      Adapt(Model(episodic_, clouds_), clouds_, {.shots = 1000, .steps = {}, .episodes = 2});
  ASSERT_FALSE(site.ok());
  EXPECT_THAT(site.error().message(), HasSubstr("1000"));
}

}  // namespace
}  // namespace fedmeta
