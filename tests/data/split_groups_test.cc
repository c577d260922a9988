#include <map>
#include <set>

#include "table_testing.h"
#include <gmock/gmock.h>

#include "fedmeta/client/data/site_partition.h"

// Tables under the split tasks: persons stay on one side, and query rows shape nothing.
namespace fedmeta {
namespace {

using ::testing::HasSubstr;

Result<std::unique_ptr<TaskGenerator>> Split(const std::shared_ptr<const Dataset>& table,
                                             double support, double validation,
                                             std::uint64_t seed) {
  v1::SplitSettings settings;
  settings.set_support_fraction(support);
  settings.set_validation_fraction(validation);
  const DatasetView view = WholeView(table);
  return MakeTaskGenerator(BuiltinData(), PluginOf("split", settings), TableSource(table), &view,
                           "site-1", seed);
}

TaskExamples MustDraw(TaskGenerator& tasks, DataPart part, std::int64_t shots = 0) {
  Rng rng = TestRng();
  auto drawn = tasks.Draw(part, shots, rng);
  EXPECT_TRUE(drawn.ok()) << drawn.error().message();
  return std::move(drawn).value();
}

/// A table whose only feature is the person, so that examples tell whose they are.
std::shared_ptr<const Dataset> PersonTable(std::uint64_t seed, std::size_t persons,
                                           std::uint64_t most_rows) {
  Rng rng({.seed = seed, .purpose = "persons"});
  std::string text = "ill,chol\n";
  for (std::size_t person = 0; person < persons; ++person) {
    for (std::uint64_t rows = 1 + rng.Below(most_rows); rows > 0; --rows) {
      text += std::string(rng.Below(3) == 0 ? "yes," : "no,") + std::to_string(person) + "\n";
    }
  }
  return MustBuild(TableOf(text, "group: 'chol'"), NumberAnd("missing: 'refuse'")).dataset;
}

TEST(SplitGroupsTest, NobodyIsOnBothSides) {
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    const auto table = PersonTable(seed, 3 + seed % 40, 1 + seed % 9);
    const auto tasks = Split(table, 0.3, 0.2, seed);
    ASSERT_TRUE(tasks.ok()) << tasks.error().message();
    const TaskExamples test = MustDraw(**tasks, DataPart::kTest);
    const TaskExamples validation = MustDraw(**tasks, DataPart::kValidation);
    std::set<float> seen;
    std::size_t rows = 0;
    std::size_t persons = 0;
    for (const ExampleSet* part : {&test.support, &validation.query, &test.query}) {
      ASSERT_GT(part->count, 0U) << seed;
      const std::set<float> of_part(part->inputs.begin(), part->inputs.end());
      persons += of_part.size();
      rows += part->count;
      seen.insert(of_part.begin(), of_part.end());
    }
    EXPECT_EQ(rows, table->size()) << seed;
    EXPECT_EQ(persons, seen.size()) << "somebody is in two parts, seed " << seed;
  }
}
TEST(SplitGroupsTest, PartsHaveTheirShareAsFarAsPersonsAllow) {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    const auto table = PersonTable(seed, 200, 5);
    const auto tasks = Split(table, 0.25, 0, seed);
    ASSERT_TRUE(tasks.ok());
    const TaskExamples task = MustDraw(**tasks, DataPart::kTest);
    const auto positives = [](const ExampleSet& part) {
      return static_cast<double>(std::count(part.labels.begin(), part.labels.end(), 1));
    };
    const double all = static_cast<double>(table->size());
    EXPECT_NEAR(static_cast<double>(task.support.count), 0.25 * all, 5) << seed;
    EXPECT_NEAR(positives(task.support), 0.25 * (positives(task.support) + positives(task.query)),
                5)
        << seed;
  }
}
TEST(SplitGroupsTest, IsFixedBySeedAndClient) {
  const auto table = PersonTable(1, 50, 4);
  const auto draw = [&](std::uint64_t seed) {
    return MustDraw(**Split(table, 0.25, 0, seed), DataPart::kTest).support.inputs;
  };
  EXPECT_EQ(draw(1), draw(1));
  EXPECT_NE(draw(1), draw(2));
}
TEST(SplitGroupsTest, OnePersonCannotBeDivided) {
  const auto table = MustBuild(TableOf("ill,chol\nno,1\nyes,1\nno,1\n", "group: 'chol'"),
                               NumberAnd("missing: 'refuse'"))
                         .dataset;
  const auto tasks = Split(table, 0.5, 0, 1);
  ASSERT_FALSE(tasks.ok());
  EXPECT_THAT(tasks.error().message(), HasSubstr("fewer groups than the 2 parts"));
}
TEST(SplitGroupsTest, EpisodesDoNotKeepPersonsApart) {
  const auto table = PersonTable(1, 50, 4);
  const DatasetView view = WholeView(table);
  const auto tasks = MakeTaskGenerator(BuiltinData(), PluginOf("episodic", Episodic(2, 1, 1)),
                                       TableSource(table), &view, "site-1", 1);
  ASSERT_FALSE(tasks.ok());
  EXPECT_THAT(tasks.error().message(), HasSubstr("use split"));
}

/// Rows 1 ... count with labels in turns; the number is the row's.
std::string Ramp(int count) {
  std::string text = "ill,chol\n";
  for (int i = 1; i <= count; ++i) {
    text += (i % 2 == 0 ? "no," : "yes,") + std::to_string(i) + "\n";
  }
  return text;
}

TEST(SplitTableTest, QueryRowsDoNotShapeTheExamples) {
  const auto dictionary = NumberAnd("missing: 'mean'", "standardize: 'local'");
  const auto table = MustBuild(TableOf(Ramp(40)), dictionary).dataset;
  const auto tasks = std::move(Split(table, 0.25, 0, 7)).value();
  const TaskExamples task = MustDraw(*tasks, DataPart::kTest);
  // The support part is standardised by itself: mean 0, variance 1.
  double sum = 0;
  double squares = 0;
  for (const float value : task.support.inputs) sum += value;
  for (const float value : task.support.inputs) squares += value * value;
  EXPECT_NEAR(sum, 0, 1e-5);
  EXPECT_NEAR(squares / (static_cast<double>(task.support.count) - 1), 1, 1e-5);
  // An outlier among the query rows leaves every other example as it is.

  for (int row = 1; row <= 40; ++row) {
    std::string text = Ramp(40);
    const std::string old = "," + std::to_string(row) + "\n";
    text.replace(text.find(old), old.size(), ",100000\n");
    const auto changed =
        std::move(Split(MustBuild(TableOf(text), dictionary).dataset, 0.25, 0, 7)).value();
    const TaskExamples other = MustDraw(*changed, DataPart::kTest);
    std::size_t differ = 0;
    for (std::size_t i = 0; i < task.query.inputs.size(); ++i) {
      differ += task.query.inputs[i] != other.query.inputs[i] ? 1 : 0;
    }
    const bool queried = task.support.inputs == other.support.inputs;
    EXPECT_EQ(differ, queried ? 1U : task.query.inputs.size()) << row;
  }
}
TEST(SplitTableTest, FewShotsAreEncodedByThemselves) {
  const auto table =
      MustBuild(TableOf(Ramp(40)), NumberAnd("missing: 'mean'", "standardize: 'local'")).dataset;
  const auto tasks = std::move(Split(table, 0.5, 0, 7)).value();
  const TaskExamples task = MustDraw(*tasks, DataPart::kTest, 2);
  ASSERT_EQ(task.support.count, 4U);
  double sum = 0;
  for (const float value : task.support.inputs) sum += value;
  EXPECT_NEAR(sum, 0, 1e-5);
}
TEST(SplitTableTest, ASiteOfOneClassIsATaskLikeOthers) {
  std::string text = "ill,chol\n";
  for (int i = 0; i < 20; ++i) text += "yes," + std::to_string(i) + "\n";
  const auto table = MustBuild(TableOf(text), NumberAnd("missing: 'mean'")).dataset;
  const auto tasks = std::move(Split(table, 0.5, 0, 1)).value();
  EXPECT_EQ(tasks->task_outputs(), 2);
  EXPECT_TRUE(tasks->CanDraw(DataPart::kTest, 0).ok());
  EXPECT_EQ(MustDraw(*tasks, DataPart::kTest).support.count, 10U);
}

TEST(SitePartitionTest, SitesStandByRoleAndName) {
  const auto table = PersonTable(1, 5, 2);
  const auto partition = MakeSitePartition({{"d", v1::ROLE_HOLDOUT, table},
                                            {"c", v1::ROLE_TRAIN, table},
                                            {"b", v1::ROLE_VALIDATION, table},
                                            {"a", v1::ROLE_TRAIN, table}});
  std::string names;
  for (std::size_t i = 0; i < partition->clients(); ++i) names += partition->name(i);
  EXPECT_EQ(names, "acbd");
  EXPECT_EQ(partition->view(0)->size(), table->size());
  EXPECT_EQ(partition->largest_label_set(), 2);
}

}  // namespace
}  // namespace fedmeta
