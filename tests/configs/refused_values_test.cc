#include "fedmeta/tests/configs/config_files.h"

// Values that do not fit their key. Each text is kExperiment with one thing planted; places count
// from 1.
namespace fedmeta {
namespace {

std::string WithRounds(const std::string& value) {
  return With(kExperiment, "rounds: 20", "rounds: " + value);
}
std::string WithRate(const std::string& value) { return With(kExperiment, "0.1", value); }
std::string WithDeadline(const std::string& value) {
  return With(kExperiment, "cohort: 5", "cohort: 5\n  report_deadline: " + value);
}
std::string WithModel(const std::string& keys) {
  return With(kExperiment, "{name: mlp}", "{name: conv4, " + keys + "}");
}

constexpr const char* kWhole =
    "e.yaml:10:11: federation.rounds must be a whole number in decimal digits, such as 10, got ";
constexpr const char* kNumber =
    "e.yaml:8:46: algorithm.inner_learning_rate must be a finite number, such as 0.05 or 1e-3, "
    "got ";
constexpr const char* kDuration =
    "e.yaml:12:20: federation.report_deadline must be a duration with units d, h, m, s, ms, above "
    "0 "
    "and at most 3650d, such as 90s or 1h30m, got ";

TEST(RefusedValues, TheTextThatTheyArePlantedInIsValid) {
  EXPECT_EQ(Problems(kExperiment), "no problem");
  EXPECT_EQ(Problems(kEpisodic), "no problem");
}

TEST(RefusedValues, AWholeNumberWithALeadingZeroIsNotReadAsOctal) {
  EXPECT_EQ(Problems(WithRounds("010")), kWhole + std::string("'010'"));
}
TEST(RefusedValues, AHexadecimalNumber) {
  EXPECT_EQ(Problems(WithRounds("0x10")), kWhole + std::string("'0x10'"));
}
TEST(RefusedValues, AWholeNumberWithAPlusSign) {
  EXPECT_EQ(Problems(WithRounds("+5")), kWhole + std::string("'+5'"));
}
TEST(RefusedValues, AWholeNumberWithAFraction) {
  EXPECT_EQ(Problems(WithRounds("2.0")), kWhole + std::string("'2.0'"));
}
TEST(RefusedValues, AWholeNumberInQuotes) {
  EXPECT_EQ(Problems(WithRounds("\"20\"")), kWhole + std::string("'20' in quotes"));
}
TEST(RefusedValues, ANegativeCount) {
  EXPECT_EQ(Problems(WithRounds("-1")),
            "e.yaml:10:11: federation.rounds must be >= 0 and <= 100000000, got -1");
}
TEST(RefusedValues, MoreThanTheTypeHolds) {
  // seed has no bound in the schema but its type's: 2^64 = 18446744073709551616.
  EXPECT_EQ(Problems(std::string(kExperiment) + "seed: 18446744073709551616\n"),
            "e.yaml:12:7: seed must be >= 0 and <= 18446744073709551615, got 18446744073709551616");
  EXPECT_EQ(Problems(std::string(kExperiment) + "seed: 18446744073709551615\n"), "no problem");
}
TEST(RefusedValues, NothingWhereANumberBelongs) {
  EXPECT_EQ(Problems(WithRounds("")),
            "e.yaml:10:3: federation.rounds must be one whole number, got nothing");
}
TEST(RefusedValues, AListWhereOneNumberBelongs) {
  EXPECT_EQ(Problems(WithRounds("[1, 2]")),
            "e.yaml:10:3: federation.rounds must be one whole number, got a list");
}
TEST(RefusedValues, ABlockWhereOneNumberBelongs) {
  EXPECT_EQ(Problems(WithRounds("{a: 1}")),
            "e.yaml:10:3: federation.rounds must be one whole number, got a block of keys");
}

TEST(RefusedValues, NotANumber) {
  EXPECT_EQ(Problems(WithRate(".nan")), kNumber + std::string("'.nan'"));
}
TEST(RefusedValues, NotANumberAsCWritesIt) {
  EXPECT_EQ(Problems(WithRate("nan")), kNumber + std::string("'nan'"));
}
TEST(RefusedValues, Infinity) {
  EXPECT_EQ(Problems(WithRate(".inf")), kNumber + std::string("'.inf'"));
}
TEST(RefusedValues, InfinityAsCWritesIt) {
  EXPECT_EQ(Problems(WithRate("inf")), kNumber + std::string("'inf'"));
}
TEST(RefusedValues, ADecimalComma) {
  EXPECT_EQ(Problems(WithRate("\"0,1\"")), kNumber + std::string("'0,1' in quotes"));
}
TEST(RefusedValues, ANumberBeyondADouble) {
  EXPECT_EQ(
      Problems(WithRate("1e999")),
      "e.yaml:8:46: algorithm.inner_learning_rate must be within the range of a double, 5e-324 "
      "to 1.8e308, got '1e999'");
}
TEST(RefusedValues, ANumberAtAnExclusiveBound) {
  EXPECT_EQ(Problems(WithRate("0")),
            "e.yaml:8:46: algorithm.inner_learning_rate must be > 0, got 0");
}
TEST(RefusedValues, ANumberBelowItsBound) {
  EXPECT_EQ(Problems(WithRate("-0.1")),
            "e.yaml:8:46: algorithm.inner_learning_rate must be > 0, got -0.1");
}

TEST(RefusedValues, YesIsNoTruthValue) {
  EXPECT_EQ(Problems(WithModel("gamma: yes")),
            "e.yaml:2:29: model.gamma must be true or false, got 'yes'");
}
TEST(RefusedValues, TrueInCapitals) {
  EXPECT_EQ(Problems(WithModel("gamma: True")),
            "e.yaml:2:29: model.gamma must be true or false, got 'True'");
}
TEST(RefusedValues, TrueInQuotes) {
  EXPECT_EQ(Problems(WithModel("gamma: 'true'")),
            "e.yaml:2:29: model.gamma must be true or false, got 'true' in quotes");
}
TEST(RefusedValues, YesStaysTextWhereTextBelongs) {
  const auto experiment = Parse(With(kExperiment, "name: waves", "name: yes"));
  ASSERT_TRUE(experiment.ok());
  EXPECT_EQ((*experiment)->name(), "yes");
}

TEST(RefusedValues, AChoiceThatIsNone) {
  EXPECT_EQ(Problems(WithModel("readout: flaten")),
            "e.yaml:2:31: model.readout must be one of flatten, mean, got 'flaten'; did you mean "
            "'flatten'?");
}
TEST(RefusedValues, AnUnknownMetric) {
  EXPECT_EQ(Problems(std::string(kExperiment) + "evaluation: {select: {metric: acuracy_mean}}\n"),
            "e.yaml:12:31: evaluation.select.metric must be one of loss_mean, accuracy_mean, "
            "auc_mean, log_loss, got "
            "'acuracy_mean'; did you mean 'accuracy_mean'?");
}
TEST(RefusedValues, EmptyText) {
  EXPECT_EQ(Problems(With(kExperiment, "name: sinusoid\n", "name: ''\n")),
            "e.yaml:4:9: data.name must not be empty");
}

TEST(RefusedValues, ADurationWithoutUnit) {
  EXPECT_EQ(Problems(WithDeadline("60")), kDuration + std::string("'60'"));
}
TEST(RefusedValues, ADurationWithAnUnknownUnit) {
  EXPECT_EQ(Problems(WithDeadline("1w")), kDuration + std::string("'1w'"));
}
TEST(RefusedValues, ADurationInTheWrongOrder) {
  EXPECT_EQ(Problems(WithDeadline("30m1h")), kDuration + std::string("'30m1h'"));
}
TEST(RefusedValues, ADurationWithTheSameUnitTwice) {
  EXPECT_EQ(Problems(WithDeadline("1h2h")), kDuration + std::string("'1h2h'"));
}
TEST(RefusedValues, ANegativeDuration) {
  EXPECT_EQ(Problems(WithDeadline("-1s")), kDuration + std::string("'-1s'"));
}
TEST(RefusedValues, ADurationOfNothing) {
  EXPECT_EQ(Problems(WithDeadline("0s")), kDuration + std::string("'0s'"));
}
TEST(RefusedValues, ADurationTooLong) {
  EXPECT_EQ(Problems(WithDeadline("3651d")), kDuration + std::string("'3651d'"));
}
TEST(RefusedValues, ADurationWhoseNumberOverflows) {
  EXPECT_EQ(Problems(WithDeadline("99999999999999999999d")),
            kDuration + std::string("'99999999999999999999d'"));
}

TEST(RefusedValues, AnElementOfAListOutOfBounds) {
  EXPECT_EQ(Problems(std::string(kExperiment) + "evaluation: {learning_rates: [0.1, 0, 0.3]}\n"),
            "e.yaml:12:36: evaluation.learning_rates[1] must be > 0, got 0");
}
TEST(RefusedValues, ABlockWhereAListBelongs) {
  EXPECT_EQ(Problems(std::string(kExperiment) + "evaluation: {steps: {a: 1}}\n"),
            "e.yaml:12:14: evaluation.steps must be a list of whole numbers, got a block of keys");
}
TEST(RefusedValues, AValueWhereABlockBelongs) {
  EXPECT_EQ(Problems(std::string(kExperiment) + "privacy: 1\n"),
            "e.yaml:12:10: privacy must be a block of keys, got '1'");
}
TEST(RefusedValues, NothingWhereABlockBelongs) {
  EXPECT_EQ(Problems(std::string(kExperiment) + "privacy:\n"),
            "e.yaml:12:1: privacy must be a block of keys, got nothing");
}

TEST(RefusedValues, AVariableThatIsNotExpanded) {
  EXPECT_EQ(Problems(With(kExperiment, "{name: mlp}", "{name: mlp, initial: '${HOME}/run'}")),
            "e.yaml:2:29: model.initial uses ${HOME}; only ${FEDMETA_DATA} is expanded, got "
            "'${HOME}/run'");
}
TEST(RefusedValues, AVariableThatDoesNotEnd) {
  EXPECT_EQ(Problems(With(kExperiment, "{name: mlp}", "{name: mlp, initial: '${FEDMETA_DATA'}")),
            "e.yaml:2:29: model.initial has '${' without '}', got '${FEDMETA_DATA'");
}

}  // namespace
}  // namespace fedmeta
