#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include "fedmeta/tests/configs/config_files.h"
#include "fedmeta/tests/configs/run_program.h"

// What `fedmeta check CLIENT.yaml EXPERIMENT.yaml` says about a site's table.
namespace fedmeta {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr const char* kTable = R"(name: hearts
model: {name: mlp}
data:
  name: heart
  features:
    - {name: chol, unit: mg/dL, range: [50, 700], missing: drop_row}
    - {name: sex, kind: category, levels: [female, male], unknown: missing, missing: zero_with_flag}
  label: {name: disease, levels: [absent, present]}
  tasks: {name: split}
algorithm: {name: maml}
federation: {rounds: 20, cohort: 5}
)";

class CheckTableTest : public ::testing::Test {
 protected:
  /// A site file over a table of these rows.
  std::string Site(const std::string& rows, const std::string& keys = "") {
    folder_.Write("secret-extract.csv", "CHOL,sex,disease\n" + rows);
    return folder_.Write("site.yaml",
                         "data:\n  heart:\n    source: {name: csv, path: secret-extract.csv}\n"
                         "    columns: {chol: {from: CHOL, scale: 38.67}}\n" +
                             keys);
  }
  static std::string Rows(int count, const std::string& row) {
    std::string rows;
    for (int i = 0; i < count; ++i) rows += row + "\n";
    return rows;
  }
  TemporaryFolder folder_;
  const std::string experiment_ = folder_.Write("e.yaml", kTable);
};

TEST_F(CheckTableTest, SaysWhatIsUsedAndWhyTheRestIsNot) {
  const Outcome outcome = RunProgram(
      {"check",
       Site(Rows(30, "5.1,female,absent") + Rows(20, "6,male,present") + Rows(3, ",male,present") +
            Rows(12, "5,unsaid,present") + Rows(2, "999,male,absent") + Rows(4, "5,male,")),
       experiment_});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.out,
              AllOf(HasSubstr("about 70 rows, about 60 (86 %) used; left out: <10 without label, "
                              "<10 for chol"),
                    HasSubstr("absent about 30 (50 %), present about 30 (50 %); 4 inputs"),
                    HasSubstr("chol            <10             <10             0"),
                    HasSubstr("sex             0               0               about 10 (14 %)")));
  EXPECT_THAT(outcome.out + outcome.err, Not(HasSubstr("unsaid")));
}
TEST_F(CheckTableTest, SaysItForScripts) {
  const Outcome outcome =
      RunProgram({"check", Site(Rows(30, "5.1,female,absent") + Rows(3, ",male,present")),
                  experiment_, "--json"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  const auto heart = nlohmann::json::parse(outcome.out)["facts"]["data.heart"];
  EXPECT_EQ(heart["rows"], "about 40") << "30 and <10";
  EXPECT_EQ(heart["used"], "about 30");
  EXPECT_EQ(heart["labels"]["present"], "0");
  EXPECT_EQ(heart["features"]["chol"]["missing"], "<10");
  EXPECT_THAT(outcome.err, HasSubstr("all rows have the same label"));
}
TEST_F(CheckTableTest, SaysHowANumberBecomesALabel) {
  std::string experiment = kTable;
  const std::string label = "label: {name: disease, levels: [absent, present]}";
  experiment.replace(
      experiment.find(label), label.size(),
      "label: {name: disease, kind: number, above: 0, range: [0, 4], levels: [absent, present]}");
  const Outcome outcome = RunProgram({"check",
                                      Site(Rows(30, "5.1,female,0") + Rows(11, "6,male,1") +
                                           Rows(10, "6,male,4.0") + Rows(12, "5,male,9")),
                                      folder_.Write("bound.yaml", experiment)});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.out,
              AllOf(HasSubstr("63 rows, 51 (81 %) used; left out: 12 with a label out of range"),
                    HasSubstr("label disease (absent: up to 0, present: above 0): absent 30 (59 "
                              "%), present 21 (41 %)")));
}
TEST_F(CheckTableTest, CountsAreExactWhereNoneIsSmall) {
  const Outcome outcome = RunProgram(
      {"check", Site(Rows(30, "5.1,female,absent") + Rows(21, "6,male,present")), experiment_});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("51 rows, 51 (100 %) used; none left out"));
}
TEST_F(CheckTableTest, RowsThatRepeatAreSaidWhereNothingSaysWhoseTheyAre) {
  const std::string rows = Rows(30, "5.1,female,absent") + Rows(1, "6,male,present");
  EXPECT_THAT(RunProgram({"check", Site(rows), experiment_}).err,
              HasSubstr("data.heart: 29 rows repeat another row"));
  EXPECT_THAT(RunProgram({"check", Site(rows, "    group: [CHOL]\n"), experiment_}).err,
              Not(HasSubstr("repeat another row")));
}
TEST_F(CheckTableTest, EveryFileOfSchemeSitesIsOpened) {
  const auto site = [&](const std::string& name, const std::string& rows, const std::string& role) {
    folder_.Write(name + ".csv", "chol,sex,disease\n" + rows);
    folder_.Write(name + ".yaml", "data: {heart: {source: {name: csv, path: " + name +
                                      ".csv}, role: " + role + "}}\n");
  };
  std::string one;
  for (int i = 0; i < 40; ++i)
    one += std::to_string(100 + i) + ",male," + (i % 2 == 0 ? "present" : "absent") + "\n";
  site("one", one, "train");
  site("two", one.substr(0, one.size() / 2), "holdout");
  site("small", "200,male,absent\n", "train");
  site("wrong", "canary,male,absent\n", "train");
  std::string experiment = kTable;
  experiment.replace(experiment.find("  tasks:"), 0,
                     "  partition: {scheme: sites, site_files: [one.yaml, two.yaml, small.yaml, "
                     "wrong.yaml]}\n");
  const Outcome outcome = RunProgram({"check", folder_.Write("sites.yaml", experiment)});
  EXPECT_EQ(outcome.code, 2);
  EXPECT_THAT(outcome.out, AllOf(HasSubstr("site one"), HasSubstr("40 rows, 40 (100 %) used")));
  EXPECT_THAT(outcome.err,
              AllOf(HasSubstr("site wrong: 'chol' is no number in <10 rows"),
                    HasSubstr("site small takes no part"),
                    HasSubstr("site two never trains, but 20 of its rows are rows of training"),
                    HasSubstr("federation.cohort must be <= the training sites"),
                    Not(HasSubstr("canary"))));
}
TEST_F(CheckTableTest, EveryProblemIsSaidAtOnceAndNoValue) {
  const Outcome outcome =
      RunProgram({"check", Site(Rows(12, "canary,female,canary")), experiment_});
  EXPECT_EQ(outcome.code, 2);
  EXPECT_THAT(outcome.err,
              AllOf(HasSubstr("data.heart: 'chol' is no number in 12 rows"),
                    HasSubstr("data.heart: 'disease' has a level that the experiment does not"),
                    HasSubstr("data.heart: no row is left")));
  EXPECT_THAT(outcome.out + outcome.err, Not(HasSubstr("canary")));
}
TEST_F(CheckTableTest, AnUnreadableTableIsAnErrorWithoutItsName) {
  const std::string site = Site("");
  std::filesystem::remove(folder_.path() / "secret-extract.csv");
  const Outcome outcome = RunProgram({"check", site, experiment_});
  EXPECT_NE(outcome.code, 0);
  EXPECT_THAT(outcome.err,
              AllOf(HasSubstr("data.heart: cannot read the file"), Not(HasSubstr("secret"))));
}
TEST_F(CheckTableTest, ASiteTooSmallForItsTaskIsSaid) {
  const Outcome outcome = RunProgram({"check", Site(Rows(1, "5,female,absent")), experiment_});
  EXPECT_EQ(outcome.code, 2);
  EXPECT_THAT(outcome.err, HasSubstr("this client has too few rows"));
}
TEST_F(CheckTableTest, WithoutAnExperimentTheTableIsCounted) {
  const Outcome outcome = RunProgram({"check", Site(Rows(12, "5,female,absent"))});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("a table of 3 columns, 12 rows"));
}
TEST_F(CheckTableTest, AnExperimentOfOtherData) {
  const Outcome outcome =
      RunProgram({"check", Site(Rows(12, "5,female,absent")), experiment_, "data.name=lungs"});
  EXPECT_EQ(outcome.code, 2);
  EXPECT_THAT(outcome.err, HasSubstr("'lungs', which this file does not name"));
}

}  // namespace
}  // namespace fedmeta
