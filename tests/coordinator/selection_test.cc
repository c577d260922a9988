#include "fedmeta/coordinator/selection.h"

#include <cmath>

#include "engine_harness.h"
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace fedmeta {
namespace {

using ::testing::ElementsAre;

MetricSums Cell(double clients, double loss, double accuracy, double diverged = 0) {
  MetricSums cell = Cells(1, clients, loss, accuracy).front();
  cell.diverged_tasks = diverged;
  return cell;
}

const EvaluationGrid kGrid{.shots = {1, 5}, .learning_rates = {0.1, 0.2}, .steps = {0, 1, 5}};

// Accuracy by (rate, step) at 1 shot, then at 5 shots.
std::vector<MetricSums> Validation() {
  std::vector<MetricSums> cells;
  for (const double accuracy : {0.2, 0.5, 0.6,      // 1 shot, rate 0.1
                                0.2, 0.55, 0.4,     // 1 shot, rate 0.2
                                0.2, 0.7, 0.8,      // 5 shots, rate 0.1
                                0.2, 0.75, 0.9}) {  // 5 shots, rate 0.2
    cells.push_back(Cell(4, 1 - accuracy, accuracy));
  }
  return cells;
}

TEST(SelectionTest, ScoresARoundAtTheFirstShotsAndTheSelectedSteps) {
  const Selection last{.metric = Selection::Metric::kAccuracy, .step = 2};
  EXPECT_DOUBLE_EQ(RoundScore(kGrid, Validation(), last).value, 0.6);
  const Selection one_step{.metric = Selection::Metric::kAccuracy, .step = 1};
  EXPECT_DOUBLE_EQ(RoundScore(kGrid, Validation(), one_step).value, 0.55);
  const Selection loss{.metric = Selection::Metric::kLoss, .step = 1};
  EXPECT_DOUBLE_EQ(RoundScore(kGrid, Validation(), loss).value, 1 - 0.55);
}

TEST(SelectionTest, TunesRateAndStepsForEachShots) {
  const auto tuned = Tune(kGrid, Validation(), {.metric = Selection::Metric::kAccuracy, .step = 2});
  ASSERT_EQ(tuned.size(), 2U);
  // 1 shot: step 0 ties (0.2), the earlier rate is kept; 0.55 at rate 0.2; 0.6 at rate 0.1, best of
  // all.
  EXPECT_THAT(tuned[0].rate_by_step, ElementsAre(0, 1, 0));
  EXPECT_EQ(tuned[0].rate, 0U);
  EXPECT_EQ(tuned[0].step, 2U);
  EXPECT_THAT(tuned[1].rate_by_step, ElementsAre(0, 1, 1));
  EXPECT_EQ(tuned[1].rate, 1U);
  EXPECT_EQ(tuned[1].step, 2U);
}

TEST(SelectionTest, CellsThatDivergeTooOftenAreExcluded) {
  const Selection selection{.metric = Selection::Metric::kAccuracy, .step = 0};
  const EvaluationGrid grid{.shots = {1}, .learning_rates = {0.1, 0.2}, .steps = {1}};
  // 2 of 20 tasks: 10%; 1 of 20: exactly 5% is allowed.
  const std::vector<MetricSums> cells = {Cell(20, 1, 0.5, 1), Cell(20, 1, 0.9, 2)};
  EXPECT_EQ(Tune(grid, cells, selection)[0].rate, 0U);
  EXPECT_DOUBLE_EQ(RoundScore(grid, cells, selection).value, 0.5);
}

TEST(SelectionTest, SoundBeatsUnsoundAndTiesKeepTheEarlier) {
  const Selection accuracy{.metric = Selection::Metric::kAccuracy, .step = 0};
  EXPECT_TRUE(Better({true, 0.1}, {false, 0.9}, accuracy));
  EXPECT_FALSE(Better({false, 0.9}, {true, 0.1}, accuracy));
  EXPECT_FALSE(Better({true, 0.5}, {true, 0.5}, accuracy));
  const Selection loss{.metric = Selection::Metric::kLoss, .step = 0};
  EXPECT_TRUE(Better({true, 0.1}, {true, 0.2}, loss));
}

TEST(SelectionTest, CellsWithoutClientsOrNotFiniteAreUnsound) {
  const Selection loss{.metric = Selection::Metric::kLoss, .step = 0};
  EXPECT_FALSE(ScoreOf(MetricSums(), loss).sound);
  EXPECT_FALSE(ScoreOf(Cell(2, std::nan(""), 0.5), loss).sound);
}

TEST(SelectionTest, ReadsTheSelectionFromTheExperiment) {
  v1::Experiment experiment = DemoExperiment(1, 1, 1);
  const EvaluationGrid grid{.shots = {1}, .learning_rates = {0.1}, .steps = {0, 1, 5}};
  EXPECT_EQ(SelectionOf(experiment.evaluation(), grid).step, 2U);  // the last
  experiment.mutable_evaluation()->mutable_select()->set_steps(1);
  experiment.mutable_evaluation()->mutable_select()->set_metric("loss_mean");
  const Selection selection = SelectionOf(experiment.evaluation(), grid);
  EXPECT_EQ(selection.step, 1U);
  EXPECT_EQ(selection.metric, Selection::Metric::kLoss);
}

RoundResult TestFigures(int clients) {
  RoundResult test;
  test.metrics.assign(kGrid.size(), MetricSums());
  for (int i = 0; i < clients; ++i) {
    const std::vector<MetricSums> own(kGrid.size(), Cell(1, 2, 0.1 * (i + 1)));
    for (std::size_t cell = 0; cell < own.size(); ++cell) test.metrics[cell].Add(own[cell]);
    test.disclosed.emplace_back(ClientId("c" + std::to_string(10 + i)), own);
  }
  return test;
}

TEST(SelectionTest, FinalCellsTakeTheTunedRatesAndTheTunedCell) {
  const auto tuned = Tune(kGrid, Validation(), {.metric = Selection::Metric::kAccuracy, .step = 2});
  const auto cells = FinalCells(kGrid, tuned, TestFigures(10), false);
  ASSERT_EQ(cells.size(), 8U);  // 2 shots x 3 steps, and a tuned one each
  EXPECT_EQ(cells[1].steps, 1U);
  EXPECT_DOUBLE_EQ(cells[1].learning_rate, 0.2);
  EXPECT_FALSE(cells[1].tuned);
  EXPECT_TRUE(cells[6].tuned);
  EXPECT_EQ(cells[6].shots, 1U);
  EXPECT_EQ(cells[6].steps, 5U);
  EXPECT_DOUBLE_EQ(cells[6].learning_rate, 0.1);
  EXPECT_TRUE(cells[7].tuned);
  EXPECT_DOUBLE_EQ(cells[7].learning_rate, 0.2);
  // Accuracies 0.1 to 1.0: mean 0.55, variance (n - 1) 0.0916667, worst tenth is the client with
  // 0.1.
  EXPECT_NEAR(cells[0].accuracy_mean, 0.55, 1e-12);
  EXPECT_NEAR(*cells[0].accuracy_std, std::sqrt(0.825 / 9), 1e-12);
  EXPECT_NEAR(*cells[0].accuracy_worst_decile, 0.1, 1e-12);
  EXPECT_DOUBLE_EQ(cells[0].loss_mean, 2);
  EXPECT_EQ(cells[0].clients, 10U);
}

TEST(SelectionTest, TheWorstDecileIsAMeanOverTheWorstTenth) {
  const auto tuned = Tune(kGrid, Validation(), {.metric = Selection::Metric::kAccuracy, .step = 2});
  // 20 clients: the two worst, 0.1 and 0.2.
  EXPECT_NEAR(*FinalCells(kGrid, tuned, TestFigures(20), false)[0].accuracy_worst_decile, 0.15,
              1e-12);
}

TEST(SelectionTest, FewerThanTenClientsAreShownInSimulationOnly) {
  const auto tuned = Tune(kGrid, Validation(), {.metric = Selection::Metric::kAccuracy, .step = 2});
  EXPECT_FALSE(FinalCells(kGrid, tuned, TestFigures(9), false)[0].accuracy_worst_decile);
  EXPECT_FALSE(FinalCells(kGrid, tuned, TestFigures(9), false)[0].accuracy_std);
  EXPECT_NEAR(*FinalCells(kGrid, tuned, TestFigures(9), true)[0].accuracy_worst_decile, 0.1, 1e-12);
}

TEST(SelectionTest, TunedSettingsTravelAsJson) {
  const auto tuned = Tune(kGrid, Validation(), {.metric = Selection::Metric::kAccuracy, .step = 2});
  const auto json = nlohmann::json::parse(TunedJson(kGrid, tuned));
  EXPECT_EQ(json["1"]["learning_rate"], 0.1);
  EXPECT_EQ(json["1"]["steps"], 5);
  EXPECT_EQ(json["1"]["by_steps"]["1"], 0.2);
  EXPECT_EQ(json["5"]["learning_rate"], 0.2);
}

}  // namespace
}  // namespace fedmeta
