#include <array>
#include <cmath>

#include "table_testing.h"
#include <gmock/gmock.h>

#include "fedmeta/client/data/table_dataset.h"

// From a site's text cells to the model's inputs.
namespace fedmeta {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

std::vector<std::string> ProblemsOf(const std::string& text, const v1::Dictionary& dictionary,
                                    const std::string& site = "") {
  return MustBuild(TableOf(text, site), dictionary).report.problems;
}

/// `count` rows "no,<value>" below the header.
std::string Many(const std::string& value, int count) {
  std::string text = "ill,chol\n";
  for (int i = 0; i < count; ++i) text += "no," + value + "\n";
  return text;
}

v1::Dictionary SexAnd(const std::string& more) {
  return FromText<v1::Dictionary>(
      "features { name: 'sex' kind: 'category' levels: 'female' levels: 'male' " + more +
      "} label { name: 'ill' kind: 'category' levels: 'no' levels: 'yes' } standardize: 'none'");
}

TEST(TableTest, NumbersAreScaledAndCategoriesAreOneOfTheirLevels) {
  const auto dictionary = FromText<v1::Dictionary>(R"(
    features { name: "chol" kind: "number" missing: "refuse" unknown: "refuse" }
    features { name: "sex" kind: "category" levels: "female" levels: "male" missing: "refuse"
               unknown: "refuse" }
    label { name: "ill" kind: "category" levels: "no" levels: "yes" }
    standardize: "none")");
  const BuiltTable built =
      MustBuild(TableOf("CHOL;SEX;ill\n 2,5 ;W;yes\n-1;male;no\n",
                        R"(columns { key: "chol" value { from: "CHOL" scale: 2 offset: 1 } }
                 columns { key: "sex" value { from: "SEX" map { key: "W" value: "female" } } })",
                        {.delimiter = ';', .decimal_mark = ','}),
                dictionary);
  ASSERT_TRUE(built.dataset) << ::testing::PrintToString(built.report.problems);
  EXPECT_THAT(ReadRow(*built.dataset, 0), ElementsAre(6, 1, 0));
  EXPECT_THAT(ReadRow(*built.dataset, 1), ElementsAre(-1, 0, 1));
  EXPECT_EQ(built.dataset->label(0), 1);
  EXPECT_EQ(built.dataset->classes(), 2);
}
TEST(TableTest, TextsThatAreTheSameNumberAreTheSame) {
  auto dictionary = SexAnd("missing: 'refuse' unknown: 'refuse'");
  dictionary.mutable_features(0)->set_levels(0, "0");
  dictionary.mutable_features(0)->set_levels(1, "1");
  const BuiltTable built = MustBuild(TableOf("sex,ill\n1.0,0\n0,2.0\n-9.0,0\n",
                                             R"(missing: "-9" columns { key: "ill" value {
                             map { key: "0" value: "no" } map { key: "2" value: "yes" } } })"),
                                     SexAnd("missing: 'drop_row' unknown: 'missing'"));
  EXPECT_EQ(built.report.without_label, 0U);
  const BuiltTable numbers = MustBuild(TableOf("sex,ill\n1.0,no\n0,yes\n"), dictionary);
  ASSERT_TRUE(numbers.dataset);
  EXPECT_THAT(ReadRow(*numbers.dataset, 0), ElementsAre(0, 1));
  EXPECT_THAT(ReadRow(*numbers.dataset, 1), ElementsAre(1, 0));
}
TEST(TableTest, RowsWithoutLabelGroupOrANeededValueAreLeftOutAndCounted) {
  const BuiltTable built =
      MustBuild(TableOf("ill,chol,patient\nno,1,a\n,2,b\nno,?,c\nyes,4,\nyes,5,a\n",
                        "missing: '' missing: '?' group: 'patient'"),
                NumberAnd("missing: 'drop_row'"));
  ASSERT_TRUE(built.dataset) << ::testing::PrintToString(built.report.problems);
  EXPECT_EQ(built.report.rows, 5U);
  EXPECT_EQ(built.report.used, 2U);
  EXPECT_EQ(built.report.without_label, 1U);
  EXPECT_EQ(built.report.without_group, 1U);
  EXPECT_EQ(built.report.features[0].dropped, 1U);
  EXPECT_EQ(built.report.groups, 1U);
  EXPECT_THAT(built.dataset->groups(), ElementsAre(0, 0));
}
TEST(TableTest, GroupsOfSeveralColumnsDoNotRunTogether) {
  const BuiltTable built =
      MustBuild(TableOf("ill,chol,a,b\nno,1,1,23\nno,1,12,3\nno,1,1,23\n", "group: 'a' group: 'b'"),
                NumberAnd("missing: 'refuse'"));
  ASSERT_TRUE(built.dataset);
  EXPECT_THAT(built.dataset->groups(), ElementsAre(0, 1, 0));
}

TEST(TableTest, MissingValuesAreFilledFromTheRowsThatItIsFittedTo) {
  const std::string text = "ill,chol\nno,1\nno,\nno,2\nno,9\nno,1000\n";
  const std::array<std::uint32_t, 4> rows = {0, 1, 2, 3};
  const BuiltTable mean = MustBuild(TableOf(text), NumberAnd("missing: 'mean'"));
  EXPECT_EQ(ReadRow(*mean.dataset->FitTo(rows), 1)[0], 4);
  const BuiltTable median = MustBuild(TableOf(text), NumberAnd("missing: 'median'"));
  EXPECT_EQ(ReadRow(*median.dataset->FitTo(rows), 1)[0], 2);
  const std::array<std::uint32_t, 2> two = {0, 2};
  EXPECT_EQ(ReadRow(*median.dataset->FitTo(two), 1)[0], 1.5);
  const BuiltTable flag = MustBuild(TableOf(text), NumberAnd("missing: 'zero_with_flag'"));
  EXPECT_THAT(ReadRow(*flag.dataset->FitTo(rows), 1), ElementsAre(0, 1));
  EXPECT_THAT(ReadRow(*flag.dataset->FitTo(rows), 2), ElementsAre(2, 0));
}
TEST(TableTest, LocalStandardisationIsOfTheKnownValuesThatItIsFittedTo) {
  const BuiltTable built = MustBuild(TableOf("ill,chol\nno,1\nno,3\nno,\nno,1000\n"),
                                     NumberAnd("missing: 'mean'", "standardize: 'local'"));
  const std::array<std::uint32_t, 3> rows = {0, 1, 2};
  const auto fitted = built.dataset->FitTo(rows);
  // Mean 2, standard deviation of two values sqrt(2).
  EXPECT_FLOAT_EQ(ReadRow(*fitted, 0)[0], static_cast<float>(-1 / std::sqrt(2.0)));
  EXPECT_EQ(ReadRow(*fitted, 2)[0], 0);
  EXPECT_FLOAT_EQ(ReadRow(*fitted, 3)[0], static_cast<float>(998 / std::sqrt(2.0)));
}
TEST(TableTest, WhatDoesNotSpreadIsCentredOnly) {
  const BuiltTable built = MustBuild(TableOf("ill,chol\nno,5\nno,5\nno,7\n"),
                                     NumberAnd("missing: 'mean'", "standardize: 'local'"));
  const std::array<std::uint32_t, 2> rows = {0, 1};
  EXPECT_EQ(ReadRow(*built.dataset->FitTo(rows), 0)[0], 0);
  EXPECT_EQ(ReadRow(*built.dataset->FitTo(rows), 2)[0], 2);
}
TEST(TableTest, GivenStandardisationIsTheExperiments) {
  const BuiltTable built = MustBuild(
      TableOf("ill,chol\nno,5\nno,\n"),
      NumberAnd("missing: 'zero_with_flag' mean: 3 standard_deviation: 4", "standardize: 'given'"));
  EXPECT_THAT(ReadRow(*built.dataset, 0), ElementsAre(0.5, 0));
  EXPECT_THAT(ReadRow(*built.dataset, 1), ElementsAre(0, 1));
}
TEST(TableTest, AColumnThatTheSiteLacksIsImputedAndFlagged) {
  const std::array<std::uint32_t, 1> rows = {0};
  const BuiltTable none = MustBuild(TableOf("ill\nno\n"), NumberAnd("missing: 'mean' impute: 240"));
  ASSERT_TRUE(none.dataset) << ::testing::PrintToString(none.report.problems);
  EXPECT_TRUE(none.report.features[0].absent);
  EXPECT_THAT(ReadRow(*none.dataset->FitTo(rows), 0), ElementsAre(240, 1));
  const BuiltTable local = MustBuild(
      TableOf("ill\nno\n"), NumberAnd("missing: 'drop_row' impute: 240", "standardize: 'local'"));
  EXPECT_THAT(ReadRow(*local.dataset->FitTo(rows), 0), ElementsAre(0, 1));
  const BuiltTable category =
      MustBuild(TableOf("ill\nno\n"), SexAnd("missing: 'zero_with_flag' unknown: 'refuse'"));
  EXPECT_THAT(ReadRow(*category.dataset->FitTo(rows), 0), ElementsAre(0, 0, 1));
}

TEST(TableTest, EveryProblemIsSaidAtOnceWithoutAValue) {
  const auto dictionary = FromText<v1::Dictionary>(R"(
    features { name: "age" kind: "number" missing: "refuse" unknown: "refuse" }
    features { name: "chol" kind: "number" missing: "refuse" unknown: "refuse" }
    features { name: "sex" kind: "category" levels: "female" levels: "male" missing: "refuse"
               unknown: "refuse" }
    label { name: "ill" kind: "category" levels: "no" levels: "yes" }
    standardize: "none")");
  const auto problems =
      ProblemsOf("age,chol,sex,ill\nsecret,,secret,secret\n1,2,male,no\n", dictionary);
  EXPECT_THAT(
      problems,
      ElementsAre(AllOf(HasSubstr("'age' is no number in <10 rows"), Not(HasSubstr("secret"))),
                  HasSubstr("'chol' is missing or outside its range in <10 rows"),
                  HasSubstr("'sex' has a level that the experiment does not know"),
                  HasSubstr("'ill' has a level that the experiment does not know")));
}
TEST(TableTest, MissingColumnsAndWrongMapsAreSaid) {
  EXPECT_THAT(ProblemsOf("ill,CHOL\nno,1\n", NumberAnd("missing: 'mean'")),
              ElementsAre("'chol': there is no column 'chol' among the 2 of the table: name it "
                          "under columns.chol.from"));
  EXPECT_THAT(ProblemsOf("ill,x\nno,1\n", NumberAnd("missing: 'mean' impute: 3"),
                         "columns { key: 'chol' value { from: 'CHOL' } }"),
              ElementsAre(HasSubstr("no column 'CHOL'")));
  EXPECT_THAT(ProblemsOf("ill,chol,chol\nno,1,1\n", NumberAnd("missing: 'mean'")),
              ElementsAre(HasSubstr("more than one column 'chol'")));
  EXPECT_THAT(ProblemsOf("ill,sex\nno,W\n", SexAnd("missing: 'refuse' unknown: 'refuse'"),
                         "columns { key: 'sex' value { map { key: 'W' value: 'femal' } } }"),
              ElementsAre(HasSubstr("map leads to 'femal', which is no level of it")));
  EXPECT_THAT(ProblemsOf("ill,chol\nno,1\n", NumberAnd("missing: 'mean'"), "group: 'patient'"),
              ElementsAre(HasSubstr("group: there is no column 'patient'")));
}
TEST(TableTest, AUnitThatIsOffIsNamedWithItsFactor) {
  const auto dictionary = NumberAnd("missing: 'mean' range: 50 range: 700 unit: 'mg/dL'");
  const auto below = ProblemsOf(Many("5.2", 30), dictionary);
  EXPECT_THAT(below,
              ElementsAre("'chol' lies outside [50, 700] mg/dL in more than half of the rows; its "
                          "median lies below by a factor of about 10: set columns.chol.scale if "
                          "the unit differs"));
  EXPECT_THAT(ProblemsOf(Many("210000", 30), dictionary),
              ElementsAre(HasSubstr("above by a factor of about 300")));
  EXPECT_THAT(
      ProblemsOf(Many("5.2", 30), dictionary, "columns { key: 'chol' value { scale: 38.67 } }"),
      IsEmpty());
}
TEST(TableTest, AFewValuesOutOfRangeAreMissingOnes) {
  const BuiltTable built = MustBuild(TableOf(Many("200", 30) + "no,7000\n"),
                                     NumberAnd("missing: 'drop_row' range: 50 range: 700"));
  EXPECT_THAT(built.report.problems, IsEmpty());
  EXPECT_EQ(built.report.features[0].outside, 1U);
  EXPECT_EQ(built.report.features[0].dropped, 1U);
  EXPECT_EQ(built.report.used, 30U);
}
TEST(TableTest, OneLabelIsAWarningAndNoRowAnError) {
  EXPECT_THAT(MustBuild(TableOf(Many("1", 3)), NumberAnd("missing: 'mean'")).report.warnings,
              ElementsAre(HasSubstr("all rows have the same label")));
  EXPECT_THAT(ProblemsOf("ill,chol\n", NumberAnd("missing: 'mean'")),
              ElementsAre("no row is left"));
}
TEST(TableTest, ADictionaryThatAPeerMadeUpIsRefused) {
  auto dictionary = NumberAnd("missing: 'mean'");
  dictionary.mutable_features(0)->set_kind("code");
  const auto built = BuildTable(TableOf("ill,chol\nno,1\n"), dictionary);
  ASSERT_FALSE(built.ok());
  EXPECT_THAT(built.error().message(), HasSubstr("data.features[0].kind must be number"));
}
TEST(TableTest, SourcesAndDictionariesMustFit) {
  OpenedSource table;
  table.table = std::make_shared<const RawTable>(TableOf("ill,chol\nno,1\n"));
  EXPECT_FALSE(ReadTable(table, v1::Dictionary()).ok());
  const auto read = ReadTable(table, NumberAnd("missing: 'mean'"));
  ASSERT_TRUE(read.ok()) << read.error().message();
  EXPECT_THAT(read->input_shape, ElementsAre(1));
  EXPECT_FALSE(ReadTable(TableSource(std::make_shared<FakeTable>(std::vector<std::size_t>{2, 2})),
                         NumberAnd("missing: 'mean'"))
                   .ok());
}

}  // namespace
}  // namespace fedmeta
