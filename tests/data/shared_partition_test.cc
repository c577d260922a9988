// Clients over one table, whose classes may be split between training and held-out ones.
#include <fstream>
#include <set>

#include "partition_testing.h"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace fedmeta {
namespace {

using ::testing::HasSubstr;

TEST(SharedPartitionTest, AHundredThousandClientsShareOneListOfRows) {
  v1::Partition settings = Settings("shared", 100'000);
  settings.set_holdout_clients(1000);
  settings.set_class_split("maml");
  const auto partition = MustMake(settings, Table(1623, 3));
  const DatasetView first = ViewOf(*partition, 0);
  const DatasetView last = ViewOf(*partition, 98'999);
  EXPECT_EQ(first.rows, last.rows);
  EXPECT_NE(first.by_class, nullptr);
  EXPECT_EQ(first.by_class, last.by_class);
  EXPECT_TRUE(first.code_of.empty());
  EXPECT_EQ(partition->name(0), "site-000001");
}

TEST(SharedPartitionTest, ClassSplitsNeverShareClasses) {
  const auto table = Table(1623, 2);
  for (const std::string split : {"maml", "reptile"}) {
    v1::Partition settings = Settings("shared", 30);
    settings.set_class_split(split);
    settings.set_holdout_clients(10);
    settings.set_validation_clients(split == "maml" ? 10 : 0);
    const auto partition = MustMake(settings, table);
    const std::set<std::int64_t> train = ClassesOf(ViewOf(*partition, 0));
    const std::set<std::int64_t> test = ClassesOf(ViewOf(*partition, 29));
    EXPECT_EQ(train.size(), split == "maml" ? 1100U : 1200U);
    EXPECT_EQ(test.size(), 423U);
    std::set<std::int64_t> all = train;
    all.insert(test.begin(), test.end());
    if (split == "maml") {
      const std::set<std::int64_t> validation = ClassesOf(ViewOf(*partition, 15));
      EXPECT_EQ(validation.size(), 100U);
      all.insert(validation.begin(), validation.end());
    }
    EXPECT_EQ(all.size(), 1623U);
  }
}

TEST(SharedPartitionTest, WithoutAClassSplitEveryoneHasEveryRow) {
  v1::Partition settings = Settings("shared", 3);
  settings.set_holdout_clients(1);
  const auto partition = MustMake(settings, Table(5, 4));
  EXPECT_EQ(ViewOf(*partition, 0).size(), 20U);
  EXPECT_EQ(ViewOf(*partition, 2).size(), 20U);
}

TEST(SharedPartitionTest, OwnLabelsNumberTheTrainingClasses) {
  v1::Partition settings = Settings("shared", 3);
  settings.set_class_split("reptile");
  settings.set_labels("own");
  const auto partition = MustMake(settings, Table(1623, 1));
  EXPECT_EQ(partition->largest_label_set(), 1200);
  EXPECT_NE(ViewOf(*partition, 0).code_of, ViewOf(*partition, 1).code_of);
}

TEST(SharedPartitionTest, RefusesASplitOfAnotherTable) {
  v1::Partition settings = Settings("shared", 3);
  settings.set_class_split("maml");
  EXPECT_THAT(ErrorOf(settings, Table(10, 4)), HasSubstr("1,623 classes of Omniglot, the source"));
}

TEST(SharedPartitionTest, RefusesValidationClientsWithoutValidationClasses) {
  v1::Partition settings = Settings("shared", 3);
  settings.set_class_split("reptile");
  settings.set_validation_clients(1);
  EXPECT_THAT(ErrorOf(settings, Table(1623, 1)), HasSubstr("has no validation classes"));
}

TEST(SharedPartitionTest, RefusesTasksThatWouldBeTheSameForAll) {
  const auto made = MakePartition(Settings("shared", 3), PluginOf("split", v1::SplitSettings()),
                                  TableSource(Table(3, 4)), 1);
  ASSERT_FALSE(made.ok());
  EXPECT_THAT(made.error().message(), HasSubstr("the same task"));
}

class VinyalsTest : public ::testing::Test {
 protected:
  void SetUp() override { table_->NameClasses(); }
  v1::Partition Lists(const std::string& train, const std::string& validation,
                      const std::string& test) {
    std::ofstream(folder_.path() / "train.txt") << train;
    std::ofstream(folder_.path() / "val.txt") << validation;
    std::ofstream(folder_.path() / "test.txt") << test;
    v1::Partition settings = Settings("shared", 3);
    settings.set_holdout_clients(1);
    settings.set_validation_clients(1);
    settings.set_class_split("vinyals");
    settings.set_split_dir(folder_.path().string());
    return settings;
  }
  TemporaryFolder folder_;
  std::shared_ptr<FakeTable> table_ = Table(4, 3);
};

TEST_F(VinyalsTest, ReadsClassesWhateverTheirRotation) {
  const auto partition = MustMake(
      Lists("a/c0/rot000\na/c0/rot090\na/c3/rot000\n", "a/c1/rot000\n", "a/c2/rot180\n"), table_);
  EXPECT_EQ(ClassesOf(ViewOf(*partition, 0)), (std::set<std::int64_t>{0, 3}));
  EXPECT_EQ(ClassesOf(ViewOf(*partition, 1)), (std::set<std::int64_t>{1}));
  EXPECT_EQ(ClassesOf(ViewOf(*partition, 2)), (std::set<std::int64_t>{2}));
}

TEST_F(VinyalsTest, RefusesAnUnknownClassNamingTheLine) {
  EXPECT_THAT(ErrorOf(Lists("a/c0/rot000\nb/c9/rot000\n", "a/c1\n", "a/c2\n"), table_),
              HasSubstr("train.txt, line 2"));
}

TEST_F(VinyalsTest, RefusesAClassInTwoLists) {
  EXPECT_THAT(ErrorOf(Lists("a/c0/rot000\n", "a/c1\n", "a/c0/rot090\n"), table_),
              HasSubstr("a class stands in two lists"));
}

TEST_F(VinyalsTest, RefusesATableWithoutClassNames) {
  EXPECT_THAT(ErrorOf(Lists("a/c0\n", "a/c1\n", "a/c2\n"), Table(4, 3)),
              HasSubstr("needs a source that names its classes"));
}

}  // namespace
}  // namespace fedmeta
