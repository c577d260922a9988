#include "fedmeta/client/data/partition.h"

#include <algorithm>
#include <fstream>
#include <map>
#include <set>

#include "partition_testing.h"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace fedmeta {
namespace {

using ::testing::HasSubstr;

// Rows of all clients, which must not share any.
std::size_t DisjointRows(const Partition& partition) {
  std::set<std::uint32_t> all;
  std::size_t rows = 0;
  for (std::size_t i = 0; i < partition.clients(); ++i) {
    const DatasetView view = ViewOf(partition, i);
    all.insert(view.rows->begin(), view.rows->end());
    rows += view.size();
  }
  EXPECT_EQ(all.size(), rows);
  return rows;
}

bool SameRows(const Partition& a, const Partition& b) {
  for (std::size_t i = 0; i < a.clients(); ++i) {
    if (*ViewOf(a, i).rows != *ViewOf(b, i).rows) return false;
  }
  return true;
}

TEST(PartitionTest, NamesArePaddedAndRolesComeInOrder) {
  v1::Partition settings = Settings("uniform", 12);
  settings.set_holdout_clients(3);
  settings.set_validation_clients(2);
  const auto partition = MustMake(settings, Table(2, 60));
  EXPECT_EQ(partition->name(0), "site-01");
  EXPECT_EQ(partition->name(11), "site-12");
  EXPECT_EQ(partition->role(6), v1::ROLE_TRAIN);
  EXPECT_EQ(partition->role(7), v1::ROLE_VALIDATION);
  EXPECT_EQ(partition->role(8), v1::ROLE_VALIDATION);
  EXPECT_EQ(partition->role(9), v1::ROLE_HOLDOUT);
}

TEST(PartitionTest, RefusesHoldoutsThatLeaveNobodyToTrain) {
  v1::Partition settings = Settings("uniform", 4);
  settings.set_holdout_clients(3);
  settings.set_validation_clients(1);
  EXPECT_THAT(ErrorOf(settings, Table(2, 60)), HasSubstr("leave no client to train of"));
}

TEST(PartitionTest, UniformPartsDifferByOneAtMostAndCoverTheTable) {
  const auto partition = MustMake(Settings("uniform", 7), Table(5, 20));
  EXPECT_EQ(DisjointRows(*partition), 100U);
  for (std::size_t i = 0; i < 7; ++i) {
    EXPECT_GE(ViewOf(*partition, i).size(), 14U);
    EXPECT_LE(ViewOf(*partition, i).size(), 15U);
  }
  EXPECT_EQ(partition->largest_label_set(), 5);
}

TEST(PartitionTest, UniformRefusesPartsBelowTheMinimum) {
  v1::Partition settings = Settings("uniform", 20);
  settings.set_minimum_examples(10);
  EXPECT_THAT(ErrorOf(settings, Table(5, 20)),
              HasSubstr("100 examples give each of 20 clients only 5"));
}

TEST(PartitionTest, DrawsFollowTheSeed) {
  const auto table = Table(5, 20);
  for (const std::string scheme : {"uniform", "classes", "dirichlet"}) {
    const v1::Partition settings = Settings(scheme, 5);
    EXPECT_TRUE(SameRows(*MustMake(settings, table), *MustMake(settings, table))) << scheme;
    EXPECT_FALSE(SameRows(*MustMake(settings, table), *MustMake(settings, table, 2))) << scheme;
  }
}

TEST(PartitionTest, ClassesGiveEachClientItsNumberOfClassesAndExamples) {
  v1::Partition settings = Settings("classes", 8);
  settings.set_classes_per_client(5);
  settings.set_examples_per_class(20);
  const auto table = Table(10, 100);
  const auto partition = MustMake(settings, table);
  EXPECT_EQ(DisjointRows(*partition), 8U * 5 * 20);
  std::map<std::int64_t, int> holders;
  for (std::size_t i = 0; i < 8; ++i) {
    const DatasetView view = ViewOf(*partition, i);
    EXPECT_EQ(ClassesOf(view).size(), 5U);
    EXPECT_EQ(view.size(), 100U);
    for (const std::int64_t c : ClassesOf(view)) ++holders[c];
  }
  // 8 x 5 = 40 over 10 classes.
  for (const auto& [c, count] : holders) EXPECT_EQ(count, 4) << c;
}

TEST(PartitionTest, ClassesWithoutANumberShareEachClassOut) {
  const auto partition = MustMake(Settings("classes", 10), Table(10, 21));
  EXPECT_EQ(DisjointRows(*partition), 210U);
}

TEST(PartitionTest, ClassesRefuseMoreThanThereIsWithNumbers) {
  v1::Partition settings = Settings("classes", 11);
  settings.set_examples_per_class(20);
  EXPECT_THAT(ErrorOf(settings, Table(2, 200)),
              HasSubstr("classes_per_client 2 cannot be had by client 11 of 11: 0 of 2 classes "
                        "have 20 examples left"));
}

TEST(PartitionTest, ClassesRefuseMoreClassesThanTheTableHas) {
  v1::Partition settings = Settings("classes", 1);
  settings.set_classes_per_client(6);
  EXPECT_THAT(ErrorOf(settings, Table(5, 20)), HasSubstr("5 of 5 classes"));
}

TEST(PartitionTest, SmallAlphaConcentratesAndLargeAlphaSpreads) {
  const auto table = Table(10, 1000);
  // Largest class's share of a client, mean over clients.
  const auto concentration = [&table](double alpha) {
    v1::Partition settings = Settings("dirichlet", 10);
    settings.set_alpha(alpha);
    const auto partition = MustMake(settings, table);
    EXPECT_EQ(DisjointRows(*partition), 10000U);
    double sum = 0;
    for (std::size_t i = 0; i < 10; ++i) {
      const DatasetView view = ViewOf(*partition, i);
      std::map<std::int64_t, double> of_class;
      for (const std::uint32_t row : *view.rows) ++of_class[table->label(row)];
      double largest = 0;
      for (const auto& [c, count] : of_class) largest = std::max(largest, count);
      sum += largest / static_cast<double>(view.size());
    }
    return sum / 10;
  };
  EXPECT_GT(concentration(0.1), 0.5);
  EXPECT_LT(concentration(1000), 0.13);
}

TEST(PartitionTest, DirichletSharesHaveTheDistributionsVariance) {
  // A share of Dirichlet(alpha) over n clients has mean 1/n and variance (n - 1) / (n^2 (n alpha +
  // 1)): for n = 5, alpha = 1: 4 / (25 x 6) = .0267. 400 classes give 2,000 shares.
  v1::Partition settings = Settings("dirichlet", 5);
  settings.set_alpha(1);
  const auto table = Table(400, 100);
  const auto partition = MustMake(settings, table);
  double squares = 0;
  for (std::size_t i = 0; i < 5; ++i) {
    std::map<std::int64_t, double> share;
    const DatasetView view = ViewOf(*partition, i);
    for (const std::uint32_t row : *view.rows) share[table->label(row)] += 0.01;
    for (std::int64_t c = 0; c < 400; ++c) squares += (share[c] - 0.2) * (share[c] - 0.2);
  }
  EXPECT_NEAR(squares / 2000, 0.0267, 0.004);
}

TEST(PartitionTest, DirichletGivesUpWithNumbers) {
  v1::Partition settings = Settings("dirichlet", 10);
  settings.set_alpha(0.01);
  settings.set_minimum_examples(10);
  EXPECT_THAT(ErrorOf(settings, Table(5, 20)),
              HasSubstr("none of 1,000 draws with alpha 0.01 gave each of 10 clients"));
}

TEST(PartitionTest, DirichletRepeatsDrawsThatLeaveAClientTooFew) {
  v1::Partition settings = Settings("dirichlet", 5);
  settings.set_alpha(0.1);
  settings.set_minimum_examples(10);
  const auto table = Table(5, 40);
  // So unequal that the first draw of some of these seeds leaves a client with fewer.
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    const auto partition = MustMake(settings, table, seed);
    for (std::size_t i = 0; i < 5; ++i) EXPECT_GE(ViewOf(*partition, i).size(), 10U) << seed;
  }
}

TEST(PartitionTest, OwnLabelsArePermutationsThatDifferBetweenClients) {
  v1::Partition settings = Settings("classes", 8);
  settings.set_classes_per_client(5);
  settings.set_labels("own");
  const auto partition = MustMake(settings, Table(10, 40));
  EXPECT_EQ(partition->largest_label_set(), 5);
  std::set<std::vector<std::int64_t>> orders;
  for (std::size_t i = 0; i < 8; ++i) {
    const DatasetView view = ViewOf(*partition, i);
    std::vector<std::int64_t> codes;
    for (const std::int64_t c : ClassesOf(view)) codes.push_back(view.code_of_class(c));
    orders.insert(codes);
    std::sort(codes.begin(), codes.end());
    EXPECT_EQ(codes, (std::vector<std::int64_t>{0, 1, 2, 3, 4}));
  }
  EXPECT_GT(orders.size(), 4U);
}

TEST(PartitionTest, SharedLabelsAreTheTables) {
  const auto partition = MustMake(Settings("classes", 4), Table(10, 40));
  const DatasetView view = ViewOf(*partition, 0);
  EXPECT_TRUE(view.code_of.empty());
  EXPECT_EQ(partition->largest_label_set(), 10);
}

class ColumnTest : public ::testing::Test {
 protected:
  v1::Partition Column(const std::string& lines, unsigned clients = 0) {
    const auto path = folder_.path() / "names.txt";
    std::ofstream(path) << lines;
    v1::Partition settings = Settings("column", clients);
    settings.set_column_file(path.string());
    return settings;
  }
  TemporaryFolder folder_;
};

TEST_F(ColumnTest, NamesOfTheFileAreTheClientsInTheirOrder) {
  v1::Partition settings = Column("north\nsouth\nnorth\neast\n");
  settings.set_holdout_clients(1);
  const auto partition = MustMake(settings, Table(2, 2));
  ASSERT_EQ(partition->clients(), 3U);
  EXPECT_EQ(partition->name(0), "east");
  EXPECT_EQ(partition->name(2), "south");
  EXPECT_EQ(partition->role(2), v1::ROLE_HOLDOUT);
  EXPECT_EQ(*ViewOf(*partition, 1).rows, (std::vector<std::uint32_t>{0, 2}));
}

TEST_F(ColumnTest, RefusesAnotherNumberOfLinesThanExamples) {
  EXPECT_THAT(ErrorOf(Column("a\nb\na\n"), Table(2, 2)),
              HasSubstr("has 3 lines, the source has 4 examples"));
}

TEST_F(ColumnTest, RefusesAnotherNumberOfClientsThanNames) {
  EXPECT_THAT(ErrorOf(Column("a\nb\na\nb\n", 3), Table(2, 2)),
              HasSubstr("clients is 3, but partition.column_file names 2"));
}

TEST_F(ColumnTest, RefusesNamesThatCouldLeaveTheFolder) {
  EXPECT_THAT(ErrorOf(Column("a\n../b\na\nb\n"), Table(2, 2)), HasSubstr("line 2"));
}

TEST(FormulaPartitionTest, ClientsOfASourceWithoutATableAreNames) {
  OpenedSource source;
  v1::Partition settings = Settings("uniform", 100'000);
  settings.set_holdout_clients(1);
  const auto made =
      MakePartition(settings, PluginOf("regression", v1::RegressionSettings()), source, 1);
  ASSERT_TRUE(made.ok());
  EXPECT_EQ((*made)->clients(), 100'000U);
  EXPECT_EQ((*made)->name(41), "site-000042");
  EXPECT_EQ((*made)->view(0)->dataset, nullptr);
  EXPECT_EQ((*made)->largest_label_set(), 0);
}

}  // namespace
}  // namespace fedmeta
