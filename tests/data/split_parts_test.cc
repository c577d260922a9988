#include <algorithm>
#include <map>
#include <set>

#include "table_testing.h"
#include <gmock/gmock.h>

// Split tasks with rows that only tests see, with tasks drawn anew, and with shots that count rows.
namespace fedmeta {
namespace {

using ::testing::HasSubstr;
using ::testing::IsSubsetOf;

Result<std::unique_ptr<TaskGenerator>> Split(const std::shared_ptr<const Dataset>& table,
                                             const std::string& settings) {
  const DatasetView view = WholeView(table);
  return MakeTaskGenerator(BuiltinData(), PluginOf("split", FromText<v1::SplitSettings>(settings)),
                           TableSource(table), &view, "site-1", 3);
}

TaskExamples MustDraw(TaskGenerator& tasks, DataPart part, std::int64_t shots = 0,
                      std::uint64_t stream = 1) {
  Rng rng({.seed = stream, .purpose = "draw"});
  auto drawn = tasks.Draw(part, shots, rng);
  EXPECT_TRUE(drawn.ok()) << drawn.error().message();
  return std::move(drawn).value();
}

std::set<std::size_t> RowSet(const ExampleSet& examples) {
  const std::vector<std::size_t> rows = RowsOf(examples);
  return {rows.begin(), rows.end()};
}

std::shared_ptr<const Dataset> Table() {
  return std::make_shared<FakeTable>(std::vector<std::size_t>{30, 10});
}

constexpr char kShares[] =
    "support_fraction: 0.4 validation_fraction: 0.2 test_fraction: 0.25 redraw: true ";

TEST(SplitPartsTest, TestRowsAreSeenByTestsAlone) {
  const auto tasks = std::move(Split(Table(), kShares)).value();
  const TaskExamples test = MustDraw(*tasks, DataPart::kTest);
  EXPECT_EQ(test.query.count, 10U);
  EXPECT_EQ(test.support.count, 30U) << "to a test a site adapts on all its other rows";
  const std::set<std::size_t> held_out = RowSet(test.query);
  const auto seen = [&](const std::set<std::size_t>& rows) {
    return std::ranges::any_of(rows, [&](std::size_t row) { return held_out.contains(row); });
  };
  for (std::uint64_t stream = 0; stream < 20; ++stream) {
    const TaskExamples train = MustDraw(*tasks, DataPart::kTrain, 0, stream);
    EXPECT_FALSE(seen(RowSet(train.support)) || seen(RowSet(train.query)));
  }
  const TaskExamples validation = MustDraw(*tasks, DataPart::kValidation);
  EXPECT_EQ(validation.query.count, 8U);
  EXPECT_EQ(validation.support.count, 22U);
  EXPECT_FALSE(seen(RowSet(validation.support)) || seen(RowSet(validation.query)));
  Rng rng = TestRng();
  EXPECT_EQ(RowSet(tasks->TrainingExamples(rng).value()), RowSet(validation.support));
}

TEST(SplitPartsTest, RedrawnTasksCoverTheTrainingRowsInOtherWays) {
  const auto tasks =
      std::move(Split(Table(), std::string(kShares) + "support_rows: 5 support_rows: 12")).value();
  std::set<std::size_t> sizes;
  std::set<std::set<std::size_t>> supports;
  for (std::uint64_t stream = 0; stream < 20; ++stream) {
    const TaskExamples task = MustDraw(*tasks, DataPart::kTrain, 0, stream);
    std::set<std::size_t> all = RowSet(task.support);
    all.merge(RowSet(task.query));
    EXPECT_EQ(all.size(), 22U);
    EXPECT_EQ(task.support.count + task.query.count, 22U);
    sizes.insert(task.support.count);
    supports.insert(RowSet(task.support));
  }
  EXPECT_EQ(sizes, (std::set<std::size_t>{5, 12}));
  EXPECT_GT(supports.size(), 15U);
}

TEST(SplitPartsTest, MoreSupportRowsThanThereAreLeaveOneToQuery) {
  const auto tasks = std::move(Split(Table(), std::string(kShares) + "support_rows: 500")).value();
  EXPECT_EQ(MustDraw(*tasks, DataPart::kTrain).query.count, 1U);
}

TEST(SplitPartsTest, ShotsThatCountRowsTakeThemWithoutRegardToTheirClass) {
  const auto tasks = std::move(Split(Table(), std::string(kShares) + "shots: 'rows'")).value();
  EXPECT_TRUE(tasks->draws(10));
  EXPECT_FALSE(tasks->draws(0));
  std::set<std::int64_t> positives;
  for (std::uint64_t stream = 0; stream < 20; ++stream) {
    const TaskExamples ten = MustDraw(*tasks, DataPart::kTest, 10, stream);
    const TaskExamples twenty = MustDraw(*tasks, DataPart::kTest, 20, stream);
    EXPECT_EQ(ten.support.count, 10U);
    EXPECT_THAT(RowSet(ten.support), IsSubsetOf(RowSet(twenty.support)));
    EXPECT_EQ(ten.query.inputs, twenty.query.inputs);
    positives.insert(std::ranges::count(ten.support.labels, 1));
  }
  EXPECT_GT(positives.size(), 2U) << "their number is left to chance";
  // A site that has fewer gives all.
  EXPECT_EQ(MustDraw(*tasks, DataPart::kTest, 500).support.count, 30U);
}

/// Row i has chol i; of each four rows two are train, one is test, one is left open.
BuiltTable Marked(const std::string& last = "", const std::string& site = "part: 'fold'") {
  std::string text = "fold,chol,ill\n";
  for (int i = 0; i < 40; ++i) {
    const char* fold = i % 4 < 2 ? "train" : i % 4 == 2 ? "test" : "";
    text += std::string(fold) + "," + std::to_string(i) + (i % 3 == 0 ? ",yes\n" : ",no\n");
  }
  return MustBuild(TableOf(text + last, site), NumberAnd("missing: 'refuse'"));
}

TEST(SplitPartsTest, ASitesOwnMarksSayWhatARowIsFor) {
  const BuiltTable built = Marked();
  ASSERT_TRUE(built.dataset != nullptr);
  const auto tasks =
      std::move(
          Split(built.dataset, "support_fraction: 0.5 validation_fraction: 0.2 test_fraction: 0.2"))
          .value();
  const TaskExamples test = MustDraw(*tasks, DataPart::kTest);
  int marked = 0;
  for (const float chol : test.query.inputs) {
    const int row = static_cast<int>(chol) % 4;
    EXPECT_TRUE(row == 2 || row == 3);
    marked += row == 2 ? 1 : 0;
  }
  EXPECT_EQ(marked, 10);
  EXPECT_EQ(test.query.count, 12U) << "and a fifth of the ten that are left open";
  const TaskExamples validation = MustDraw(*tasks, DataPart::kValidation);
  EXPECT_EQ(validation.query.count, 5U + 2U) << "a quarter of train, a fifth of what is open";
  EXPECT_EQ(test.support.count + test.query.count, 40U);
}

TEST(SplitPartsTest, AMarkThatIsNoneIsAProblemWithoutItsText) {
  const BuiltTable built = Marked("CANARY,1,yes\n");
  EXPECT_EQ(built.dataset, nullptr);
  ASSERT_EQ(built.report.problems.size(), 1U);
  EXPECT_THAT(built.report.problems[0], HasSubstr("part: <10 rows say something else"));
  EXPECT_THAT(built.report.problems[0], Not(HasSubstr("CANARY")));
  const BuiltTable no_column = Marked("", "part: 'split'");
  EXPECT_THAT(no_column.report.problems.at(0), HasSubstr("part: there is no column 'split'"));
}

TEST(SplitPartsTest, AGroupMarkedForTwoPartsIsRefused) {
  const BuiltTable built = Marked("train,2,yes\n", "part: 'fold' group: 'chol'");
  ASSERT_TRUE(built.dataset != nullptr);
  const auto tasks = Split(built.dataset, "support_fraction: 0.5");
  ASSERT_FALSE(tasks.ok());
  EXPECT_THAT(tasks.error().message(), HasSubstr("rows of one group are marked for different"));
}

TEST(SplitPartsTest, GroupsStayTogetherInRedrawnTasks) {
  std::string text = "ill,chol\n";
  for (int person = 0; person < 20; ++person)
    for (int row = 0; row < 1 + person % 4; ++row)
      text += (person % 3 == 0 ? "yes," : "no,") + std::to_string(person) + "\n";
  const auto table =
      MustBuild(TableOf(text, "group: 'chol'"), NumberAnd("missing: 'refuse'")).dataset;
  const auto tasks =
      std::move(Split(table, "support_fraction: 0.4 test_fraction: 0.2 redraw: true shots: 'rows'"))
          .value();
  for (std::uint64_t stream = 0; stream < 50; ++stream) {
    const TaskExamples task = MustDraw(*tasks, DataPart::kTrain, 0, stream);
    const std::set<float> support(task.support.inputs.begin(), task.support.inputs.end());
    for (const float person : task.query.inputs) EXPECT_FALSE(support.contains(person));
  }
}

}  // namespace
}  // namespace fedmeta
