#include <algorithm>
#include <map>
#include <set>

#include "data_testing.h"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fedmeta/client/data/example_set.h"

namespace fedmeta {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::unique_ptr<TaskGenerator> Tasks(const v1::EpisodicSettings& settings,
                                     const DatasetView& view) {
  auto made = MakeTaskGenerator(BuiltinData(), PluginOf("episodic", settings),
                                TableSource(view.dataset), &view, "site-1", 3);
  EXPECT_TRUE(made.ok()) << made.error().message();
  return std::move(made).value();
}

std::shared_ptr<const Dataset> Table(std::size_t classes, std::size_t each) {
  return std::make_shared<FakeTable>(std::vector<std::size_t>(classes, each));
}

TaskExamples MustDraw(TaskGenerator& tasks, std::int64_t shots, std::uint64_t round,
                      DataPart part = DataPart::kTrain) {
  Rng rng = TestRng(round);
  Result<TaskExamples> drawn = tasks.Draw(part, shots, rng);
  EXPECT_TRUE(drawn.ok()) << drawn.error().message();
  return std::move(drawn).value();
}

TEST(EpisodicTest, EveryEpisodeHasItsCountsAndNoQueryStandsInTheSupport) {
  const auto table = Table(8, 12);
  const auto tasks = Tasks(Episodic(5, 2, 4), WholeView(table));
  for (std::uint64_t round = 0; round < 200; ++round) {
    const TaskExamples task = MustDraw(*tasks, 0, round);
    ASSERT_EQ(task.support.count, 10U);
    ASSERT_EQ(task.query.count, 20U);
    const std::vector<std::size_t> support = RowsOf(task.support);
    const std::vector<std::size_t> query = RowsOf(task.query);
    std::set<std::size_t> distinct(support.begin(), support.end());
    distinct.insert(query.begin(), query.end());
    ASSERT_EQ(distinct.size(), 30U);
    // Each label is one class, and no two labels are the same.
    std::map<std::int64_t, std::set<std::int64_t>> classes_of;
    for (std::size_t i = 0; i < support.size(); ++i) {
      ASSERT_EQ(task.support.labels[i], static_cast<std::int64_t>(i / 2));
      classes_of[task.support.labels[i]].insert(table->label(support[i]));
    }
    for (std::size_t i = 0; i < query.size(); ++i) {
      ASSERT_EQ(task.query.labels[i], static_cast<std::int64_t>(i / 4));
      classes_of[task.query.labels[i]].insert(table->label(query[i]));
    }
    std::set<std::int64_t> used;
    for (const auto& [label, classes] : classes_of) {
      ASSERT_EQ(classes.size(), 1U);
      used.insert(*classes.begin());
    }
    ASSERT_EQ(used.size(), 5U);
  }
}

TEST(EpisodicTest, EveryClassAndExampleIsDrawnAboutEquallyOften) {
  const auto tasks = Tasks(Episodic(2, 1, 1), WholeView(Table(4, 5)));
  std::map<std::size_t, int> times;
  for (std::uint64_t round = 0; round < 2000; ++round) {
    for (const std::size_t row : RowsOf(MustDraw(*tasks, 0, round).support)) ++times[row];
  }
  // 4,000 support examples over 20 rows: 200 each, standard deviation below sqrt(200) = 14.
  ASSERT_EQ(times.size(), 20U);
  for (const auto& [row, count] : times) EXPECT_NEAR(count, 200, 5 * 14) << row;
}

TEST(EpisodicTest, DrawsDependOnTheStreamOnly) {
  const auto table = Table(6, 9);
  const auto one = Tasks(Episodic(3, 1, 2), WholeView(table));
  const auto other = Tasks(Episodic(3, 1, 2), WholeView(table));
  MustDraw(*other, 0, 1);
  EXPECT_EQ(MustDraw(*one, 0, 7).support.inputs, MustDraw(*other, 0, 7).support.inputs);
  EXPECT_NE(MustDraw(*one, 0, 7).support.inputs, MustDraw(*one, 0, 8).support.inputs);
}

TEST(EpisodicTest, NamingTheExperimentsShotsChangesNothing) {
  const auto tasks = Tasks(Episodic(3, 2, 2), WholeView(Table(6, 9)));
  EXPECT_EQ(MustDraw(*tasks, 0, 4).support.inputs, MustDraw(*tasks, 2, 4).support.inputs);
  EXPECT_EQ(MustDraw(*tasks, 0, 4).query.inputs, MustDraw(*tasks, 2, 4).query.inputs);
}

TEST(EpisodicTest, MoreShotsKeepTheQueriesAndAddToTheSupport) {
  const auto tasks = Tasks(Episodic(3, 1, 2), WholeView(Table(6, 9)));
  const TaskExamples few = MustDraw(*tasks, 1, 4);
  const TaskExamples more = MustDraw(*tasks, 5, 4);
  EXPECT_EQ(few.query.inputs, more.query.inputs);
  ASSERT_EQ(more.support.count, 15U);
  for (std::size_t way = 0; way < 3; ++way) {
    EXPECT_EQ(RowsOf(few.support)[way], RowsOf(more.support)[5 * way]);
  }
}

TEST(EpisodicTest, SaysWhichClassesAreMissing) {
  const auto tasks =
      Tasks(Episodic(5, 1, 15),
            WholeView(std::make_shared<FakeTable>(std::vector<std::size_t>{16, 16, 16, 15})));
  const Status can = tasks->CanDraw(DataPart::kTrain, 0);
  ASSERT_FALSE(can.ok());
  EXPECT_EQ(can.error().message(),
            "5 ways of 1 shots and 15 queries need 5 classes of at least 16 examples, this client "
            "has fewer");
  Rng rng = TestRng();
  EXPECT_FALSE(tasks->Draw(DataPart::kTrain, 0, rng).ok());
}

TEST(EpisodicTest, SaysWhenShotsOfAnEvaluationAreTooMany) {
  const auto tasks = Tasks(Episodic(3, 1, 5), WholeView(Table(3, 10)));
  EXPECT_TRUE(tasks->CanDraw(DataPart::kTest, 5).ok());
  EXPECT_FALSE(tasks->CanDraw(DataPart::kTest, 6).ok());
  EXPECT_FALSE(tasks->CanDraw(DataPart::kTest, -1).ok());
}

TEST(EpisodicTest, ClassesTooSmallAreLeftOut) {
  const auto table = std::make_shared<FakeTable>(std::vector<std::size_t>{2, 6, 6});
  const auto tasks = Tasks(Episodic(2, 1, 5), WholeView(table));
  const TaskExamples task = MustDraw(*tasks, 0, 0);
  for (const std::size_t row : RowsOf(task.query)) EXPECT_NE(table->label(row), 0);
}

TEST(EpisodicTest, TrainingExamplesAreAllRowsUnderTheClientsCodes) {
  const auto table = Table(3, 2);  // labels 0 1 2 0 1 2
  DatasetView view{.dataset = table,
                   .rows = std::make_shared<const std::vector<std::uint32_t>>(
                       std::vector<std::uint32_t>{1, 2, 4}),
                   .code_of = {-1, 1, 0}};
  const auto tasks = Tasks(Episodic(2, 1, 1), view);
  Rng rng = TestRng();
  const Result<ExampleSet> all = tasks->TrainingExamples(rng);
  ASSERT_TRUE(all.ok());
  EXPECT_THAT(RowsOf(*all), ElementsAre(1, 2, 4));
  EXPECT_THAT(all->labels, ElementsAre(1, 0, 1));
  EXPECT_EQ(tasks->examples(), 3U);
  EXPECT_EQ(tasks->task_outputs(), 2);
}

TEST(EpisodicTest, TurnsImagesCounterClockwise) {
  std::vector<float> image = {1, 2, 3,  //
                              4, 5, 6,  //
                              7, 8, 9};
  std::vector<float> turned = image;
  TurnImages(turned, 3, 1);
  EXPECT_THAT(turned, ElementsAre(3, 6, 9, 2, 5, 8, 1, 4, 7));
  turned = image;
  TurnImages(turned, 3, 2);
  EXPECT_THAT(turned, ElementsAre(9, 8, 7, 6, 5, 4, 3, 2, 1));
  turned = image;
  TurnImages(turned, 3, 3);
  EXPECT_THAT(turned, ElementsAre(7, 4, 1, 8, 5, 2, 9, 6, 3));
  turned = image;
  TurnImages(turned, 3, 4);
  EXPECT_EQ(turned, image);
}

// FakeTable adds 1e6 x the pixel's index to the row: which multiple stands first tells the turn.
unsigned TurnOf(const ExampleSet& examples, std::size_t index) {
  switch (static_cast<int>(examples.inputs[index * 4] / 1e6F)) {
    case 1:
      return 1;  // of {0, 1, 2, 3}, 90 degrees counter-clockwise: {1, 3, 0, 2}
    case 3:
      return 2;
    case 2:
      return 3;
    default:
      return 0;
  }
}

TEST(EpisodicTest, RandomRotationsTurnEachClassOfAnEpisodeAlike) {
  const auto tasks = Tasks(Episodic(3, 2, 2, "random"), WholeView(Table(5, 6)));
  std::set<unsigned> seen;
  for (std::uint64_t round = 0; round < 40; ++round) {
    const TaskExamples task = MustDraw(*tasks, 0, round, DataPart::kTest);
    for (std::size_t way = 0; way < 3; ++way) {
      const unsigned turn = TurnOf(task.support, 2 * way);
      seen.insert(turn);
      EXPECT_EQ(TurnOf(task.support, 2 * way + 1), turn);
      EXPECT_EQ(TurnOf(task.query, 2 * way), turn);
      EXPECT_EQ(TurnOf(task.query, 2 * way + 1), turn);
    }
  }
  EXPECT_EQ(seen.size(), 4U);
}

TEST(EpisodicTest, RotationsAsClassesMultiplyTheClassesInTrainingOnly) {
  const auto table = Table(2, 3);
  const auto tasks = Tasks(Episodic(8, 1, 2, "classes"), WholeView(table));
  EXPECT_TRUE(tasks->CanDraw(DataPart::kTrain, 0).ok());
  EXPECT_FALSE(tasks->CanDraw(DataPart::kValidation, 0).ok());
  EXPECT_FALSE(tasks->CanDraw(DataPart::kTest, 0).ok());
  const TaskExamples task = MustDraw(*tasks, 0, 0);
  std::set<std::pair<std::int64_t, unsigned>> ways;
  for (std::size_t way = 0; way < 8; ++way) {
    // A quarter of 1e6 at least separates pixel index from row.
    const auto first = static_cast<std::size_t>(task.support.inputs[4 * way]);
    ways.insert({table->label(first % 1'000'000), TurnOf(task.support, way)});
  }
  EXPECT_EQ(ways.size(), 8U);
}

TEST(EpisodicTest, RefusesToTurnImagesThatAreNotSquare) {
  const auto table = std::make_shared<FakeTable>(std::vector<std::size_t>{4, 4},
                                                 std::vector<std::int64_t>{1, 2, 3});
  const DatasetView view = WholeView(table);
  const auto made =
      MakeTaskGenerator(BuiltinData(), PluginOf("episodic", Episodic(2, 1, 1, "random")),
                        TableSource(table), &view, "site-1", 3);
  ASSERT_FALSE(made.ok());
  EXPECT_THAT(made.error().message(), HasSubstr("square"));
}

}  // namespace
}  // namespace fedmeta
