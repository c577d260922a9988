#include "fedmeta/protocol/dictionary.h"

#include <functional>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace fedmeta {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

v1::Feature& Add(v1::Dictionary& dictionary, const std::string& name, const std::string& kind) {
  v1::Feature& feature = *dictionary.add_features();
  feature.set_name(name);
  feature.set_kind(kind);
  feature.set_missing("refuse");
  feature.set_unknown("refuse");
  return feature;
}

v1::Dictionary Valid() {
  v1::Dictionary dictionary;
  v1::Feature& chol = Add(dictionary, "chol", "number");
  chol.add_range(50);
  chol.add_range(700);
  chol.set_missing("mean");
  v1::Feature& sex = Add(dictionary, "sex", "category");
  sex.add_levels("female");
  sex.add_levels("male");
  dictionary.mutable_label()->set_name("disease");
  dictionary.mutable_label()->set_kind("category");
  dictionary.mutable_label()->add_levels("absent");
  dictionary.mutable_label()->add_levels("present");
  dictionary.set_standardize("local");
  return dictionary;
}

/// "path message" of each problem after `change`.
std::vector<std::string> After(const std::function<void(v1::Dictionary&)>& change) {
  v1::Dictionary dictionary = Valid();
  change(dictionary);
  std::vector<std::string> problems;
  for (const DictionaryProblem& problem : CheckDictionary(dictionary)) {
    problems.push_back(problem.path + " " + problem.message);
  }
  return problems;
}

v1::Feature& First(v1::Dictionary& dictionary) { return *dictionary.mutable_features(0); }
v1::Feature& Second(v1::Dictionary& dictionary) { return *dictionary.mutable_features(1); }

TEST(DictionaryTest, AValidOneHasNoProblem) {
  EXPECT_THAT(After([](v1::Dictionary&) {}), IsEmpty());
  EXPECT_THAT(CheckDictionary(v1::Dictionary()), IsEmpty());
}
TEST(DictionaryTest, ALabelWithoutFeatures) {
  EXPECT_THAT(After([](v1::Dictionary& d) { d.clear_features(); }),
              ElementsAre("label needs features, the columns that a model sees"));
}
TEST(DictionaryTest, FeaturesWithoutALabel) {
  EXPECT_THAT(After([](v1::Dictionary& d) { d.clear_label(); }),
              ElementsAre("label is needed with features"));
}
TEST(DictionaryTest, ANameTwice) {
  EXPECT_THAT(
      After([](v1::Dictionary& d) { Second(d).set_name("chol"); }),
      ElementsAre("features[1].name 'chol' is the name of another feature or of the label"));
}
TEST(DictionaryTest, TheLabelAmongTheFeatures) {
  EXPECT_THAT(
      After([](v1::Dictionary& d) { First(d).set_name("disease"); }),
      ElementsAre("features[0].name 'disease' is the name of another feature or of the label"));
}
TEST(DictionaryTest, AnEmptyName) {
  EXPECT_THAT(After([](v1::Dictionary& d) { First(d).clear_name(); }),
              ElementsAre("features[0].name must have 1 to 200 bytes, got 0"));
}
TEST(DictionaryTest, ARangeUpsideDown) {
  EXPECT_THAT(After([](v1::Dictionary& d) { First(d).set_range(0, 800); }),
              ElementsAre("features[0].range must be [lowest, highest] with lowest < highest, got "
                          "[800, 700]"));
}
TEST(DictionaryTest, ARangeOfOne) {
  EXPECT_THAT(
      After([](v1::Dictionary& d) { First(d).mutable_range()->RemoveLast(); }),
      ElementsAre("features[0].range must be [lowest, highest] with lowest < highest, got [50]"));
}
TEST(DictionaryTest, AnImputedValueOutOfRange) {
  EXPECT_THAT(After([](v1::Dictionary& d) { First(d).set_impute(701); }),
              ElementsAre("features[0].impute must be a number within the range, got 701"));
}
TEST(DictionaryTest, LevelsOfANumber) {
  EXPECT_THAT(After([](v1::Dictionary& d) { First(d).add_levels("high"); }),
              ElementsAre("features[0].levels belong to kind category"));
}
TEST(DictionaryTest, ACategoryWithoutLevels) {
  EXPECT_THAT(After([](v1::Dictionary& d) { Second(d).clear_levels(); }),
              ElementsAre("features[1].levels must be at least 2, got 0"));
}
TEST(DictionaryTest, ALevelTwice) {
  EXPECT_THAT(After([](v1::Dictionary& d) { Second(d).add_levels("male"); }),
              ElementsAre("features[1].levels have 'male' twice"));
}
TEST(DictionaryTest, TheMeanOfACategory) {
  EXPECT_THAT(After([](v1::Dictionary& d) { Second(d).set_missing("mean"); }),
              ElementsAre("features[1].missing must be zero_with_flag, drop_row or refuse for a "
                          "category, got mean"));
}
TEST(DictionaryTest, AnUnknownKindAndRule) {
  EXPECT_THAT(After([](v1::Dictionary& d) {
                First(d).set_missing("guess");
                Second(d).set_kind("text");
              }),
              ElementsAre("features[0].missing has no rule 'guess'",
                          "features[1].kind must be number or category, got 'text'"));
}
TEST(DictionaryTest, StandardizeGivenWithoutTheNumbers) {
  EXPECT_THAT(After([](v1::Dictionary& d) { d.set_standardize("given"); }),
              ElementsAre("features[0] needs mean and standard_deviation with standardize given"));
}
TEST(DictionaryTest, TheNumbersWithoutStandardizeGiven) {
  EXPECT_THAT(After([](v1::Dictionary& d) { First(d).set_mean(3); }),
              ElementsAre("features[0].mean is read with standardize given only, which is local; "
                          "remove it"));
}
TEST(DictionaryTest, ALabelOfOneLevel) {
  EXPECT_THAT(After([](v1::Dictionary& d) { d.mutable_label()->mutable_levels()->RemoveLast(); }),
              ElementsAre("label.levels must be at least 2, got 1"));
}
v1::Label& LabelOf(v1::Dictionary& dictionary, const std::string& kind) {
  dictionary.mutable_label()->set_kind(kind);
  return *dictionary.mutable_label();
}

TEST(DictionaryTest, BinaryLabelsAndNumbersWithABound) {
  EXPECT_THAT(After([](v1::Dictionary& d) { LabelOf(d, "binary"); }), IsEmpty());
  EXPECT_THAT(After([](v1::Dictionary& d) { LabelOf(d, "number").add_above(0); }), IsEmpty());
  EXPECT_THAT(After([](v1::Dictionary& d) {
                v1::Label& label = LabelOf(d, "number");
                label.add_levels("severe");
                label.add_at_least(5.7);
                label.add_at_least(6.5);
                label.add_range(3);
                label.add_range(20);
                label.set_unit("%");
              }),
              IsEmpty());
}
TEST(DictionaryTest, ABinaryLabelOfThreeLevels) {
  EXPECT_THAT(After([](v1::Dictionary& d) { LabelOf(d, "binary").add_levels("perhaps"); }),
              ElementsAre("label.levels must be 2 with kind binary, got 3"));
}
TEST(DictionaryTest, ABinaryLabelWhoseLevelsSayTheOpposite) {
  EXPECT_THAT(After([](v1::Dictionary& d) {
                LabelOf(d, "binary").set_levels(0, "1");
                d.mutable_label()->set_levels(1, "2");
              }),
              ElementsAre("label.levels stand in the order no, yes with kind binary, but '1' says "
                          "yes: turn them round, or take kind category"));
  EXPECT_THAT(After([](v1::Dictionary& d) { LabelOf(d, "binary").set_levels(1, "No"); }),
              ElementsAre("label.levels stand in the order no, yes with kind binary, but 'No' says "
                          "no: turn them round, or take kind category"));
}
TEST(DictionaryTest, ANumberAsLabelWithoutABoundOrWithBothKinds) {
  EXPECT_THAT(After([](v1::Dictionary& d) { LabelOf(d, "number"); }),
              ElementsAre("label needs either above or at_least with kind number"));
  EXPECT_THAT(After([](v1::Dictionary& d) {
                LabelOf(d, "number").add_above(0);
                d.mutable_label()->add_at_least(0);
              }),
              ElementsAre("label needs either above or at_least with kind number"));
}
TEST(DictionaryTest, BoundsThatDoNotFitTheLevels) {
  EXPECT_THAT(After([](v1::Dictionary& d) {
                LabelOf(d, "number").add_above(0);
                d.mutable_label()->add_above(1);
              }),
              ElementsAre("label.above must be one fewer than the 2 levels, got 2"));
  EXPECT_THAT(After([](v1::Dictionary& d) {
                LabelOf(d, "number").add_levels("severe");
                d.mutable_label()->add_at_least(7);
                d.mutable_label()->add_at_least(7);
              }),
              ElementsAre("label.at_least must ascend, got [7, 7]"));
  EXPECT_THAT(After([](v1::Dictionary& d) {
                LabelOf(d, "number").add_above(30);
                d.mutable_label()->add_range(0);
                d.mutable_label()->add_range(20);
              }),
              ElementsAre("label.above must lie within the range [0, 20], got [30]"));
}
TEST(DictionaryTest, BoundsOfALabelThatIsNoNumber) {
  EXPECT_THAT(
      After([](v1::Dictionary& d) {
        LabelOf(d, "binary").add_above(0);
        d.mutable_label()->set_unit("%");
      }),
      ElementsAre("label.unit belongs to kind number", "label.above belongs to kind number"));
  EXPECT_THAT(After([](v1::Dictionary& d) { LabelOf(d, "ordinal"); }),
              ElementsAre("label.kind must be category, binary or number, got 'ordinal'"));
}

TEST(DictionaryTest, InputsAreNumbersLevelsAndFlags) {
  v1::Dictionary dictionary = Valid();
  First(dictionary).set_impute(200);
  Add(dictionary, "age", "number");
  EXPECT_THAT(InputNames(dictionary),
              ElementsAre("chol", "chol?", "sex=female", "sex=male", "age"));
}

}  // namespace
}  // namespace fedmeta
