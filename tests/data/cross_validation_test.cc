#include "fedmeta/client/data/cross_validation.h"

#include <algorithm>
#include <map>
#include <set>

#include "table_testing.h"
#include <gmock/gmock.h>

namespace fedmeta {
namespace {

using ::testing::IsEmpty;
using ::testing::SizeIs;

/// A task that supports on every row.
TaskExamples WholeTask(const std::shared_ptr<const Dataset>& table) {
  TaskExamples task;
  task.dataset = table;
  for (std::uint32_t row = 0; row < table->size(); ++row) {
    task.support_rows.push_back({row, table->label(row)});
  }
  return task;
}

std::vector<TaskExamples> MustDeal(const TaskExamples& task, std::size_t folds,
                                   std::uint64_t seed = 1) {
  Rng rng({.seed = seed, .purpose = "folds"});
  auto tasks = CrossValidate(task, folds, rng);
  EXPECT_TRUE(tasks.ok()) << tasks.error().message();
  return std::move(tasks).value();
}

/// The only feature is the person, so that examples tell whose they are.
std::shared_ptr<const Dataset> PersonTable(std::uint64_t seed, std::size_t persons) {
  Rng rng({.seed = seed, .purpose = "persons"});
  std::string text = "ill,chol\n";
  for (std::size_t person = 0; person < persons; ++person) {
    for (std::uint64_t rows = 1 + rng.Below(6); rows > 0; --rows) {
      text += std::string(rng.Below(3) == 0 ? "yes," : "no,") + std::to_string(person) + "\n";
    }
  }
  return MustBuild(TableOf(text, "group: 'chol'"), NumberAnd("missing: 'refuse'")).dataset;
}

TEST(CrossValidationTest, NobodyIsOnBothSidesAndEveryRowIsPredictedOnce) {
  int dealt = 0;
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    const auto table = PersonTable(seed, 4 + seed % 30);
    std::size_t queried = 0;
    for (const TaskExamples& fold : MustDeal(WholeTask(table), 5, seed)) {
      ++dealt;
      ASSERT_GT(fold.query.count, 0U);
      EXPECT_EQ(fold.support.count + fold.query.count, table->size());
      EXPECT_EQ(fold.query_groups.size(), fold.query.count);
      queried += fold.query.count;
      const std::set<float> supported(fold.support.inputs.begin(), fold.support.inputs.end());
      for (const float person : fold.query.inputs) {
        EXPECT_FALSE(supported.contains(person)) << "seed " << seed;
      }
    }
    if (queried > 0) {
      EXPECT_EQ(queried, table->size()) << seed;
    }
  }
  EXPECT_GT(dealt, 500) << "or the test shows little";
}

TEST(CrossValidationTest, EveryFoldHasItsShareOfEachClass) {
  const auto table = std::make_shared<FakeTable>(std::vector<std::size_t>{40, 20, 5});
  const auto folds = MustDeal(WholeTask(table), 5);
  ASSERT_THAT(folds, SizeIs(5));
  for (const TaskExamples& fold : folds) {
    std::map<std::int64_t, int> of_class;
    for (const std::int64_t label : fold.query.labels) ++of_class[label];
    EXPECT_NEAR(of_class[0], 8, 1);
    EXPECT_NEAR(of_class[1], 4, 1);
    EXPECT_EQ(of_class[2], 1);
  }
}

TEST(CrossValidationTest, FoldsAreAsManyAsTheSmallestClassAllows) {
  const auto table = std::make_shared<FakeTable>(std::vector<std::size_t>{40, 3});
  EXPECT_THAT(MustDeal(WholeTask(table), 5), SizeIs(3));
}

TEST(CrossValidationTest, OneRowOfAClassCannotBeDealtOut) {
  const auto table = std::make_shared<FakeTable>(std::vector<std::size_t>{40, 1});
  EXPECT_THAT(MustDeal(WholeTask(table), 5), IsEmpty());
  EXPECT_THAT(MustDeal(TaskExamples(), 5), IsEmpty()) << "no table";
}

TEST(CrossValidationTest, ExamplesAreEncodedByTheOtherFoldsAlone) {
  std::string text = "ill,chol\n";
  for (int i = 0; i < 20; ++i) text += (i % 2 == 0 ? "no," : "yes,") + std::to_string(i) + "\n";
  const auto table =
      MustBuild(TableOf(text), NumberAnd("missing: 'mean'", "standardize: 'local'")).dataset;
  for (const TaskExamples& fold : MustDeal(WholeTask(table), 4)) {
    double sum = 0;
    for (const float value : fold.support.inputs) sum += value;
    EXPECT_NEAR(sum, 0, 1e-5);
    EXPECT_TRUE(fold.dataset->encodings().front().known);
  }
}

TEST(CrossValidationTest, LabelsAreThoseOfTheTask) {
  const auto table = std::make_shared<FakeTable>(std::vector<std::size_t>{6, 6});
  TaskExamples task = WholeTask(table);
  for (TaskRow& each : task.support_rows) each.label = 1 - each.label;
  for (const TaskExamples& fold : MustDeal(task, 2)) {
    for (std::size_t i = 0; i < fold.query.count; ++i) {
      EXPECT_EQ(fold.query.labels[i], 1 - table->label(RowsOf(fold.query)[i]));
    }
  }
}

}  // namespace
}  // namespace fedmeta
