#include <algorithm>
#include <array>
#include <cmath>
#include <random>

#include "table_testing.h"
#include <gmock/gmock.h>

#include "fedmeta/client/data/table_dataset.h"
#include "fedmeta/core/text.h"
#include "fedmeta/protocol/dictionary.h"

// Labels as sites have them: texts, yes and no, numbers with a bound.
namespace fedmeta {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

v1::Dictionary Labelled(const std::string& label) {
  return FromText<v1::Dictionary>(
      "features { name: 'age' kind: 'number' missing: 'refuse' unknown: 'refuse' } label { name: "
      "'ill' " +
      label + "} standardize: 'none'");
}
v1::Dictionary Binary(const std::string& levels = "levels: 'absent' levels: 'present'") {
  return Labelled("kind: 'binary' " + levels);
}
v1::Dictionary Bounded(const std::string& rule) {
  return Labelled("kind: 'number' levels: 'low' levels: 'middle' levels: 'high' " + rule);
}

/// A table with these labels, and the place of each row's level; -1 where the row is left out.
std::string TableWith(const std::vector<std::string>& cells) {
  std::string text = "age;ill\n";
  for (std::size_t i = 0; i < cells.size(); ++i) text += std::to_string(i) + ";" + cells[i] + "\n";
  return text;
}
std::vector<std::int64_t> LevelsOf(const std::vector<std::string>& cells,
                                   const v1::Dictionary& dictionary, const std::string& site = "",
                                   char mark = '.') {
  const BuiltTable built = MustBuild(
      TableOf(TableWith(cells), site, {.delimiter = ';', .decimal_mark = mark}), dictionary);
  std::vector<std::int64_t> levels(cells.size(), -1);
  if (!built.dataset) ADD_FAILURE() << ::testing::PrintToString(built.report.problems);
  for (std::size_t row = 0; built.dataset && row < built.dataset->size(); ++row) {
    levels.at(static_cast<std::size_t>(ReadRow(*built.dataset, row)[0])) =
        built.dataset->label(row);
  }
  return levels;
}
std::vector<std::string> ProblemsOf(const std::vector<std::string>& cells,
                                    const v1::Dictionary& dictionary,
                                    const std::string& site = "") {
  return MustBuild(TableOf(TableWith(cells), site, {.delimiter = ';'}), dictionary).report.problems;
}

TEST(LabelTest, YesAndNoAreReadInEverySpelling) {
  for (const auto& [no, yes] : kBinarySpellings) {
    EXPECT_THAT(LevelsOf({std::string(no), std::string(yes), "", "absent", "present"}, Binary()),
                ElementsAre(0, 1, -1, 0, 1))
        << no;
  }
  EXPECT_THAT(LevelsOf({"0.0", "1.00", "0", "+1"}, Binary()), ElementsAre(0, 1, 0, 1));
  EXPECT_THAT(LevelsOf({"0,0", "1,0"}, Binary(), "", ','), ElementsAre(0, 1));
}
TEST(LabelTest, ASitesOwnWordsAreMappedToYesAndNo) {
  const std::string site = R"(columns { key: "ill" value {
      map { key: "ja" value: "yes" } map { key: "nein" value: "absent" } } } missing: "-9")";
  EXPECT_THAT(LevelsOf({"ja", "nein", "1", "-9"}, Binary(), site), ElementsAre(1, 0, 1, -1));
  EXPECT_THAT(ProblemsOf({"ja"}, Binary(), R"(columns { key: "ill" value {
                  map { key: "ja" value: "perhaps" } } })"),
              ElementsAre(HasSubstr("'perhaps', which is no level of it")));
}
TEST(LabelTest, WhatIsNeitherYesNorNoIsRefusedWithoutItsText) {
  const auto problems = ProblemsOf({"yes", "canary", "2"}, Binary());
  EXPECT_THAT(problems, ElementsAre(HasSubstr("'ill' has a level that the experiment does not know "
                                              "in <10 rows")));
  EXPECT_THAT(problems.at(0), Not(HasSubstr("canary")));
}
TEST(LabelTest, LevelsThatAreThemselvesSpellingsKeepTheirPlace) {
  EXPECT_THAT(LevelsOf({"0", "1", "true", "N"}, Binary("levels: '0' levels: '1'")),
              ElementsAre(0, 1, 1, 0));
}

TEST(LabelTest, ABoundBelongsToTheLevelThatTheRuleSays) {
  EXPECT_THAT(LevelsOf({"0", "0.1", "5", "5.1", "-3"}, Bounded("above: 0 above: 5")),
              ElementsAre(0, 1, 1, 2, 0));
  EXPECT_THAT(LevelsOf({"-0.1", "0", "4.9", "5", "1e30"}, Bounded("at_least: 0 at_least: 5")),
              ElementsAre(0, 1, 1, 2, 2));
}
TEST(LabelTest, ANumberIsComparedBeforeItIsRounded) {
  // As floats both cells are 20,000,000.
  EXPECT_THAT(LevelsOf({"20000000", "20000001"}, Bounded("above: 20000000 above: 1e9")),
              ElementsAre(0, 1));
}
TEST(LabelTest, ANumberOutsideItsRangeIsLeftOutAndCounted) {
  const BuiltTable built = MustBuild(TableOf("age,ill\n1,3\n2,-7\n3,900\n4,\n5,2\n6,1\n"),
                                     Bounded("range: 0 range: 100 above: 1 above: 2"));
  ASSERT_TRUE(built.dataset);
  EXPECT_EQ(built.report.used, 3U);
  EXPECT_EQ(built.report.label_outside, 2U);
  EXPECT_EQ(built.report.without_label, 1U);
}
TEST(LabelTest, ANumbersUnitThatIsOffIsSaid) {
  // HbA1c in mmol/mol where the experiment has percent.
  EXPECT_THAT(ProblemsOf(std::vector<std::string>(20, "480"),
                         Bounded("range: 3 range: 20 unit: '%' at_least: 5.7 at_least: 6.5")),
              ElementsAre(HasSubstr("'ill' lies outside [3, 20] % in more than half of the rows"),
                          "no row is left"));
}
TEST(LabelTest, ATextWhereANumberShouldBeIsRefusedWithoutIt) {
  const auto problems = ProblemsOf({"1", "canary"}, Bounded("above: 0 above: 5"));
  EXPECT_THAT(problems, ElementsAre(HasSubstr("'ill' is no number in <10 rows")));
  EXPECT_THAT(problems.at(0), Not(HasSubstr("canary")));
}

/// Whatever the bounds, the unit and the numbers: the same labels as of a column that somebody
/// prepared by hand.
TEST(LabelTest, NumbersGiveWhatPreparingThemByHandWould) {
  std::mt19937_64 rng(11);
  const std::array<std::string, 3> names = {"low", "middle", "high"};
  for (int trial = 0; trial < 200; ++trial) {
    const auto whole = [&](int low, int high) {
      return std::uniform_int_distribution<int>(low, high)(rng);
    };
    // Quarters, so that numbers fall on bounds, and a scale that is exact.
    const double first = whole(-20, 20) / 4.0;
    const double second = first + whole(1, 20) / 4.0;
    const double scale = std::ldexp(1.0, whole(-2, 2));
    const double offset = whole(-8, 8) / 4.0;
    const bool above = whole(0, 1) == 0;
    std::vector<std::string> cells;
    std::vector<std::string> prepared;
    for (int row = 0; row < 40; ++row) {
      const double number = whole(-60, 60) / 4.0;
      const int level =
          above ? (number > first) + (number > second) : (number >= first) + (number >= second);
      const bool missing = whole(0, 9) == 0;
      std::string cell = FormatNumber((number - offset) / scale);
      std::replace(cell.begin(), cell.end(), '.', ',');
      cells.push_back(missing ? "?" : cell);
      prepared.push_back(missing ? "?" : names.at(static_cast<std::size_t>(level)));
    }
    const std::string key = above ? "above: " : "at_least: ";
    const auto by_rule =
        LevelsOf(cells, Bounded(key + FormatNumber(first) + " " + key + FormatNumber(second)),
                 "missing: '?' columns { key: 'ill' value { scale: " + FormatNumber(scale) +
                     " offset: " + FormatNumber(offset) + " } }",
                 ',');
    EXPECT_EQ(by_rule,
              LevelsOf(prepared,
                       Labelled("kind: 'category' levels: 'low' levels: 'middle' levels: 'high'"),
                       "missing: '?'"))
        << "trial " << trial;
  }
}

TEST(LabelTest, TheRuleIsSaidToPeople) {
  EXPECT_EQ(LabelRule(Bounded("above: 0 above: 5").label()),
            "low: up to 0, middle: above 0, high: above 5");
  EXPECT_EQ(LabelRule(Bounded("unit: '%' at_least: 5.7 at_least: 6.5").label()),
            "low: below 5.7 %, middle: from 5.7 %, high: from 6.5 %");
  EXPECT_THAT(LabelRule(Binary().label()), IsEmpty());
}

}  // namespace
}  // namespace fedmeta
