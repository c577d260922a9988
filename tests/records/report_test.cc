#include "fedmeta/records/report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fedmeta/core/file.h"
#include "fedmeta/records/run_folder.h"
#include "fedmeta/tests/records/sample_run.h"
#include "fedmeta/tests/support/temporary_folder.h"

namespace fedmeta {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

std::size_t Count(const std::string& text, const std::string& part) {
  std::size_t count = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1))
    ++count;
  return count;
}

/// What is wrong with the nesting of tags and with stray '<' and '&'; empty where nothing is. The
/// page closes every element, so that this rule of XML holds for it.
std::string NestingError(const std::string& html) {
  std::vector<std::string> open;
  std::size_t at = std::string("<!DOCTYPE html>").size();
  while ((at = html.find_first_of("<&", at)) != std::string::npos) {
    if (html[at] == '&') {
      const std::size_t end = html.find(';', at);
      if (end == std::string::npos || end > at + 6) return "stray & at " + std::to_string(at);
      at = end;
      continue;
    }
    const std::size_t end = html.find('>', at);
    if (end == std::string::npos) return "tag without end";
    const std::string tag = html.substr(at + 1, end - at - 1);
    const std::string name = tag.substr(0, tag.find_first_of(" /", 1));
    if (tag[0] == '/') {
      if (open.empty() || open.back() != tag.substr(1)) return "unexpected <" + tag + ">";
      open.pop_back();
    } else if (tag.back() != '/') {
      if (Count(tag, "\"") % 2 != 0) return "unquoted attribute in <" + tag + ">";
      open.push_back(name);
      if (name == "style") {
        at = html.find("</style>", end);
        continue;
      }
    }
    at = end;
  }
  return open.empty() ? "" : "<" + open.back() + "> is never closed";
}

class ReportTest : public ::testing::Test {
 protected:
  /// The page of a run that was played; `finish` false: still going.
  std::string Page(const SampleRun& run, bool finish = true) {
    auto folder = RunFolder::Create({.dir = dir_,
                                     .experiment_yaml = "name: a <b> & c\n",
                                     .manifest = {.mode = run.disclosed ? "simulation" : "live"}},
                                    clock_);
    EXPECT_TRUE(folder.ok());
    EXPECT_TRUE(PlaySampleRun(run, **folder, clock_, finish).ok());
    Result<std::string> page = MakeReport(dir_);
    EXPECT_TRUE(page.ok()) << page.error().message();
    return page.ok() ? *page : std::string();
  }
  RunResult Outcome() { return ReadRunResult(dir_).value(); }

  const TemporaryFolder folder_;
  const std::filesystem::path dir_ = folder_.path() / "run";
  ManualClock clock_;
};

constexpr const char* kQuestions[] = {"Is federating worth it?",
                                      "Is any site worse off than alone?",
                                      "How little data does a new site need?",
                                      "Has training converged?",
                                      "Who reported, who was dropped, and why?",
                                      "What limits the speed?",
                                      "How far are the bytes from the floor?"};

TEST_F(ReportTest, EveryFigureFollowsItsQuestion) {
  const std::string page = Page({.rounds = 20});
  for (const char* question : kQuestions) {
    const std::size_t at = page.find("<h2>" + std::string(question) + "</h2>");
    ASSERT_NE(at, std::string::npos) << question;
    const std::string section = page.substr(at, page.find("</section>", at) - at);
    EXPECT_GE(Count(section, "<svg "), 1u) << question;
    EXPECT_GE(Count(section, "<table>"), 1u) << question << ": no numbers as text";
  }
}

TEST_F(ReportTest, APageIsWellFormed) { EXPECT_EQ(NestingError(Page({.rounds = 20})), ""); }

TEST_F(ReportTest, APageOfAnUnfinishedRunIsWellFormedAndSaysWhatIsMissing) {
  const std::string page = Page({.rounds = 20}, /*finish=*/false);
  EXPECT_EQ(NestingError(page), "");
  EXPECT_EQ(Count(page, "No figure yet: the run has not finished."), 3u);
  EXPECT_THAT(page, HasSubstr("This run has not finished: 20 of 20 rounds done"));
}

TEST_F(ReportTest, APageOfARunWithoutRoundsSaysWhatIsMissing) {
  ASSERT_TRUE(
      RunFolder::Create({.dir = dir_, .experiment_yaml = "name: x\n", .manifest = {}}, clock_)
          .ok());
  const Result<std::string> page = MakeReport(dir_);
  ASSERT_TRUE(page.ok()) << page.error().message();
  EXPECT_EQ(NestingError(*page), "");
  for (const char* question : kQuestions) EXPECT_THAT(*page, HasSubstr(question));
  EXPECT_EQ(Count(*page, "<svg "), 0u);
}

TEST_F(ReportTest, APageLoadsNothing) {
  const std::string page = Page({.rounds = 20});
  for (const char* resource :
       {"http://", "https://", "src=", "href=", "url(", "@import", "<script"})
    EXPECT_THAT(page, Not(HasSubstr(resource)));
}

TEST_F(ReportTest, ThePrivacyOfTheRunIsSaid) {
  EXPECT_THAT(Page({.rounds = 20}), HasSubstr("plain sums; secure aggregation not used"));
}

TEST_F(ReportTest, ABetterMethodIsSaidWithAnIntervalAboveZero) {
  const std::string page = Page({.rounds = 20, .advantage = 0.12});
  const RunResult result = Outcome();
  EXPECT_EQ(result.status, "completed");
  EXPECT_EQ(result.method, "MAML");
  EXPECT_EQ(result.metric, "accuracy");
  EXPECT_EQ(result.clients, 20u);
  ASSERT_TRUE(result.difference.has_value());
  EXPECT_NEAR(*result.difference, *result.value - *result.baseline_value, 1e-12);
  EXPECT_GT(*result.low, 0);
  EXPECT_LT(*result.low, *result.difference);
  EXPECT_GT(*result.high, *result.difference);
  EXPECT_THAT(result.sentence,
              AllOf(HasSubstr("At 20 held-out sites with 1 example a class, MAML reaches "),
                    HasSubstr(" points above the best baseline ("),
                    HasSubstr("95 % interval over sites ")));
}

TEST_F(ReportTest, ADifferenceWhoseIntervalHoldsZeroIsNotCalledBetter) {
  Page({.rounds = 20, .advantage = -0.002});
  const RunResult result = Outcome();
  ASSERT_TRUE(result.low.has_value());
  ASSERT_LT(*result.low, 0);
  ASSERT_GT(*result.high, 0);
  EXPECT_THAT(result.sentence, AllOf(HasSubstr("not distinguishable from the best baseline"),
                                     Not(HasSubstr("above"))));
}

TEST_F(ReportTest, AWorseMethodIsSaidPlainly) {
  Page({.rounds = 20, .advantage = -0.2});
  EXPECT_THAT(Outcome().sentence, AllOf(HasSubstr("points below the best baseline"),
                                        HasSubstr("the baseline is better")));
}

TEST_F(ReportTest, ATableTellsHowGoodItsProbabilitiesAre) {
  const std::string page = Page({.rounds = 20, .scores = true});
  EXPECT_EQ(NestingError(page), "");
  const std::size_t at = page.find("How good are the probabilities?");
  ASSERT_NE(at, std::string::npos);
  const std::string section = page.substr(at, page.find("</section>", at) - at);
  EXPECT_THAT(section, AllOf(HasSubstr("1 row, adapted:"), HasSubstr("5 rows, adapted:"),
                             HasSubstr("<td>0.815</td><td>0.604</td>"),
                             HasSubstr("<td>0.142</td><td>0.050</td>")));
  EXPECT_THAT(Outcome().sentence, HasSubstr("with 1 row, "));
}

TEST_F(ReportTest, WithoutProbabilitiesThereIsNoSectionOfThem) {
  EXPECT_THAT(Page({.rounds = 20}), Not(HasSubstr("How good are the probabilities?")));
}

TEST_F(ReportTest, InRegressionLessLossIsBetter) {
  const std::string page = Page({.rounds = 20, .classification = false, .advantage = 0.12});
  EXPECT_EQ(NestingError(page), "");
  const RunResult result = Outcome();
  EXPECT_EQ(result.metric, "loss");
  EXPECT_LT(*result.high, 0);
  EXPECT_THAT(result.sentence,
              AllOf(HasSubstr("reaches a loss of"), HasSubstr(" below the best baseline"),
                    Not(HasSubstr("the baseline is better"))));
}

TEST_F(ReportTest, WithoutDisclosedFiguresTheUncertaintyIsUnknown) {
  const std::string page = Page({.rounds = 20, .disclosed = false});
  EXPECT_EQ(NestingError(page), "");
  EXPECT_FALSE(Outcome().difference.has_value());
  EXPECT_THAT(Outcome().sentence, HasSubstr("the uncertainty is unknown"));
  EXPECT_THAT(page, HasSubstr("No figure: sites do not disclose their own figures"));
  EXPECT_THAT(page, Not(HasSubstr("new-01")));
}

TEST_F(ReportTest, SitesWorseOffThanAloneAreCounted) {
  EXPECT_THAT(Page({.rounds = 20, .advantage = 0.3}),
              HasSubstr("0 of 20 held-out sites are worse off than alone."));
}

TEST_F(ReportTest, DroppedSitesAreListedWithTheirReason) {
  EXPECT_THAT(Page({.rounds = 20}),
              AllOf(HasSubstr("site-03 \u2013 upload: no sign of life for 2 min"),
                    HasSubstr("1 attempt abandoned")));
}

TEST_F(ReportTest, TextFromOutsideIsEscaped) {
  const std::string page = Page({.rounds = 20}, /*finish=*/false);
  EXPECT_THAT(page, HasSubstr("name: a &lt;b&gt; &amp; c"));
  const std::string line = R"({"leg":"maml","round":21,"cohort":["<script>x"],"reported":[],)"
                           R"("dropped":[{"client":"<script>x","phase":"\"&","reason":"<b>"}]})"
                           "\n";
  ASSERT_TRUE(AppendFile(dir_ / "rounds.jsonl", line).ok());
  const std::string again = MakeReport(dir_).value();
  EXPECT_THAT(again, AllOf(Not(HasSubstr("<script")), Not(HasSubstr("<b>"))));
  EXPECT_EQ(NestingError(again), "");
}

TEST_F(ReportTest, ManySitesAndRoundsStayReadable) {
  const std::string page = Page({.rounds = 400, .sites = 120, .holdout_sites = 60});
  EXPECT_EQ(NestingError(page), "");
  EXPECT_THAT(
      page, AllOf(HasSubstr("The 40 lowest of 60 sites"), HasSubstr("A column is about 4 rounds")));
  EXPECT_LT(page.size(), 400000u);
}

TEST_F(ReportTest, AHalfWrittenLastLineIsLeftOut) {
  Page({.rounds = 20}, /*finish=*/false);
  ASSERT_TRUE(AppendFile(dir_ / "rounds.jsonl", "{\"leg\":\"maml\",\"rou").ok());
  EXPECT_TRUE(MakeReport(dir_).ok());
}

TEST_F(ReportTest, ADamagedLineIsNamed) {
  Page({.rounds = 20}, /*finish=*/false);
  ASSERT_TRUE(WriteFileAtomically(dir_ / "rounds.jsonl", std::string_view("{}\nnot json\n")).ok());
  const Result<std::string> page = MakeReport(dir_);
  ASSERT_FALSE(page.ok());
  EXPECT_THAT(page.error().message(), HasSubstr("rounds.jsonl:2"));
}

TEST_F(ReportTest, FiguresOfTheWrongKindDoNotBreakThePage) {
  Page({.rounds = 20}, /*finish=*/false);
  ASSERT_TRUE(
      WriteFileAtomically(
          dir_ / "rounds.jsonl",
          std::string_view("{\"leg\":7,\"round\":-1,\"cohort\":3,\"dropped\":4,\"parts\":[],"
                           "\"wall_s\":\"x\",\"bytes_up\":null}\n"))
          .ok());
  ASSERT_TRUE(WriteFileAtomically(
                  dir_ / "summary.json",
                  std::string_view("{\"status\":3,\"baselines\":[1],\"final_by_shots\":{\"1\":5}}"))
                  .ok());
  const Result<std::string> page = MakeReport(dir_);
  ASSERT_TRUE(page.ok());
  EXPECT_EQ(NestingError(*page), "");
}

TEST_F(ReportTest, AFolderWithoutARunIsRefused) {
  const Result<std::string> page = MakeReport(folder_.path());
  ASSERT_FALSE(page.ok());
  EXPECT_EQ(page.error().code(), ErrorCode::kNotFound);
  EXPECT_THAT(page.error().message(), HasSubstr(folder_.path().string()));
}

}  // namespace
}  // namespace fedmeta
