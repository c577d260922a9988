#include <algorithm>
#include <map>
#include <set>

#include "data_testing.h"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace fedmeta {
namespace {

using ::testing::HasSubstr;

Result<std::unique_ptr<TaskGenerator>> Make(double support, double validation,
                                            std::shared_ptr<const Dataset> table,
                                            const std::string& client = "site-1") {
  v1::SplitSettings settings;
  settings.set_support_fraction(support);
  settings.set_validation_fraction(validation);
  const DatasetView view = WholeView(table);
  return MakeTaskGenerator(BuiltinData(), PluginOf("split", settings), TableSource(table), &view,
                           client, 3);
}

std::shared_ptr<const Dataset> Table(std::vector<std::size_t> sizes) {
  return std::make_shared<FakeTable>(std::move(sizes));
}

TaskExamples MustDraw(TaskGenerator& tasks, DataPart part, std::int64_t shots = 0) {
  Rng rng = TestRng();
  Result<TaskExamples> drawn = tasks.Draw(part, shots, rng);
  EXPECT_TRUE(drawn.ok()) << drawn.error().message();
  return std::move(drawn).value();
}

TEST(SplitTest, PartsCoverTheRowsAndAreDisjoint) {
  const auto tasks = std::move(Make(0.2, 0.3, Table({10, 10}))).value();
  const TaskExamples train = MustDraw(*tasks, DataPart::kTrain);
  const TaskExamples validation = MustDraw(*tasks, DataPart::kValidation);
  const TaskExamples test = MustDraw(*tasks, DataPart::kTest);
  EXPECT_EQ(train.support.count, 4U);
  EXPECT_EQ(validation.query.count, 6U);
  EXPECT_EQ(train.query.count, 10U);
  EXPECT_EQ(train.support.inputs, validation.support.inputs);
  EXPECT_EQ(train.query.inputs, test.query.inputs);
  std::multiset<std::size_t> all;
  for (const ExampleSet* part : {&train.support, &validation.query, &train.query}) {
    for (const std::size_t row : RowsOf(*part)) all.insert(row);
  }
  EXPECT_EQ(all.size(), 20U);
  EXPECT_EQ(std::set<std::size_t>(all.begin(), all.end()).size(), 20U);
}

TEST(SplitTest, EveryPartHasItsShareOfEachClass) {
  const auto tasks = std::move(Make(0.25, 0, Table({40, 20, 8}))).value();
  const TaskExamples task = MustDraw(*tasks, DataPart::kTrain);
  std::map<std::int64_t, int> of_class;
  for (const std::int64_t label : task.support.labels) ++of_class[label];
  EXPECT_EQ(of_class[0], 10);
  EXPECT_EQ(of_class[1], 5);
  EXPECT_EQ(of_class[2], 2);
}

TEST(SplitTest, IsFixedForAClientAndAnotherForTheNext) {
  const auto table = Table({30, 30});
  const auto one = std::move(Make(0.2, 0, table)).value();
  const auto again = std::move(Make(0.2, 0, table)).value();
  const auto other = std::move(Make(0.2, 0, table, "site-2")).value();
  EXPECT_EQ(MustDraw(*one, DataPart::kTrain).support.inputs,
            MustDraw(*again, DataPart::kTrain).support.inputs);
  EXPECT_NE(MustDraw(*one, DataPart::kTrain).support.inputs,
            MustDraw(*other, DataPart::kTrain).support.inputs);
}

TEST(SplitTest, ValidationWithoutRowsOfItsOwnIsTheQueryPart) {
  const auto tasks = std::move(Make(0.2, 0, Table({10, 10}))).value();
  EXPECT_EQ(MustDraw(*tasks, DataPart::kValidation).query.inputs,
            MustDraw(*tasks, DataPart::kTrain).query.inputs);
}

TEST(SplitTest, ShotsTakeAsManyOfEachClassOfTheSupport) {
  const auto tasks = std::move(Make(0.5, 0, Table({10, 10}))).value();
  const TaskExamples task = MustDraw(*tasks, DataPart::kTest, 2);
  EXPECT_EQ(task.support.count, 4U);
  EXPECT_EQ(std::count(task.support.labels.begin(), task.support.labels.end(), 0), 2);
  EXPECT_EQ(task.query.count, 10U);
  const Status too_many = tasks->CanDraw(DataPart::kTest, 6);
  ASSERT_FALSE(too_many.ok());
  EXPECT_THAT(too_many.error().message(), HasSubstr("this client has a class with fewer"));
}

TEST(SplitTest, TrainingExamplesLeaveTheValidationRowsOut) {
  const auto tasks = std::move(Make(0.2, 0.3, Table({10, 10}))).value();
  Rng rng = TestRng();
  const Result<ExampleSet> all = tasks->TrainingExamples(rng);
  ASSERT_TRUE(all.ok());
  const std::vector<std::size_t> training = RowsOf(*all);
  EXPECT_EQ(training.size(), 14U);
  for (const std::size_t row : RowsOf(MustDraw(*tasks, DataPart::kValidation).query)) {
    EXPECT_EQ(std::count(training.begin(), training.end(), row), 0);
  }
}

TEST(SplitTest, RefusesFractionsThatLeaveNothingToQuery) {
  const auto made = Make(0.6, 0.4, Table({10, 10}));
  ASSERT_FALSE(made.ok());
  EXPECT_THAT(made.error().message(), HasSubstr("got 0.6 and 0.4"));
}

TEST(SplitTest, RefusesAClientOfOneRow) {
  const auto made = Make(0.2, 0, Table({1, 0}));
  ASSERT_FALSE(made.ok());
  EXPECT_THAT(made.error().message(), HasSubstr("this client has too few rows"));
}

}  // namespace
}  // namespace fedmeta
