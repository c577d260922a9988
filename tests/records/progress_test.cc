#include "fedmeta/records/progress.h"

#include <cstdio>
#include <cstdlib>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fedmeta/tests/records/sample_run.h"

namespace fedmeta {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr char kErase[] = "\r\x1b[K";

/// A stream that keeps what is printed. It is no terminal, so the width is the usual 80 columns.
class Output {
 public:
  Output() : file_(::open_memstream(&text_, &size_)) {}
  ~Output() {
    std::fclose(file_);
    std::free(text_);
  }
  std::FILE* file() { return file_; }
  /// What was printed since the last call.
  std::string Take() {
    std::fflush(file_);
    std::string text(text_ + taken_, size_ - taken_);
    taken_ = size_;
    return text;
  }

 private:
  char* text_ = nullptr;
  std::size_t size_ = 0, taken_ = 0;
  std::FILE* file_;
};

RunHeading Heading() {
  return {.experiment = "fashion-maml",
          .model = "conv4",
          .algorithm = "maml, 5 steps",
          .parameters = 28485,
          .seed = 7,
          .rounds = 200,
          .clients = 100,
          .holdout_clients = 20,
          .cohort = 2,
          .out = "runs/x"};
}
/// Loss 0.412 and accuracy 84.6 % over 1,000 examples.
RoundRecord Round(std::uint64_t round) {
  return {.leg = "maml",
          .round = round,
          .cohort = {"a", "b"},
          .reported = {"a", "b"},
          .metrics = {.examples = 1000, .query_loss = 412, .correct = 846}};
}
EvaluationRecord Record(const std::string& client, bool holdout, double clients,
                        std::vector<double> accuracies) {
  EvaluationRecord record{.leg = "maml",
                          .method = "maml",
                          .round = 100,
                          .client = client,
                          .holdout = holdout,
                          .cells = {}};
  std::uint32_t steps = 0;
  for (const double accuracy : accuracies) {
    record.cells.push_back({.shots = 5,
                            .learning_rate = 0.1,
                            .steps = steps,
                            .sums = {.examples = 10 * clients,
                                     .clients = clients,
                                     .mean_loss = clients * (1 - accuracy),
                                     .mean_correct = clients * accuracy}});
    steps = steps == 0 ? 1 : steps * 5;
  }
  return record;
}

class ProgressTest : public ::testing::Test {
 protected:
  std::unique_ptr<RunObserver> Plain() {
    return MakeProgressDisplay(output_.file(), false, "2 threads", clock_);
  }
  std::unique_ptr<RunObserver> Terminal() {
    return MakeProgressDisplay(output_.file(), true, "2 threads", clock_);
  }

  Output output_;
  ManualClock clock_;
};

TEST_F(ProgressTest, UpdatesThatAreLookedAtAreSaidAtTheStart) {
  const auto display = Plain();
  RunHeading heading = Heading();
  heading.robust_aggregation = "krum";
  ASSERT_TRUE(display->Started(heading).ok());
  EXPECT_THAT(output_.Take(),
              testing::HasSubstr("  updates  individual updates visible, aggregated by krum\n"));
}

TEST_F(ProgressTest, PlainLinesBeginWithTheTimeAndAreOneARound) {
  const auto display = Plain();
  ASSERT_TRUE(display->Started(Heading()).ok());
  EXPECT_EQ(output_.Take(),
            "1970-01-01T00:00:00Z fashion-maml   conv4, 28,485 parameters   maml, 5 steps   "
            "100 clients (20 held out), 2 a round   seed 7\n"
            "1970-01-01T00:00:00Z   machine  2 threads\n"
            "1970-01-01T00:00:00Z   out      runs/x\n");
  ASSERT_TRUE(display->LegStarted("maml", "maml", 200).ok());
  clock_.Advance(Duration(2000));
  ASSERT_TRUE(display->RoundDone(Round(1)).ok());
  clock_.Advance(Duration(2000));
  ASSERT_TRUE(display->RoundDone(Round(2)).ok());
  // 2 s a round: 0.5 a second; 199 and 198 rounds are left.
  EXPECT_EQ(output_.Take(),
            "1970-01-01T00:00:02Z round   1/200  0.5 round/s  6 min 38 s left  loss 0.412  "
            "accuracy 84.6 %  2/2 reported\n"
            "1970-01-01T00:00:04Z round   2/200  0.5 round/s  6 min 36 s left  loss 0.412  "
            "accuracy 84.6 %  2/2 reported\n");
}

TEST_F(ProgressTest, APlainRoundSaysWhoWasDropped) {
  const auto display = Plain();
  ASSERT_TRUE(display->LegStarted("maml", "maml", 200).ok());
  RoundRecord record = Round(80);
  record.reported = {"a"};
  record.dropped = {{"b", "upload", "connection lost"}};
  ASSERT_TRUE(display->RoundDone(record).ok());
  EXPECT_EQ(output_.Take(),
            "1970-01-01T00:00:00Z round  80/200  loss 0.412  accuracy 84.6 %  1/2 reported  "
            "b dropped (upload: connection lost)\n");
}

TEST_F(ProgressTest, AnAbandonedAttemptIsALineOfItsOwn) {
  const auto display = Plain();
  ASSERT_TRUE(display->LegStarted("maml", "maml", 200).ok());
  RoundRecord record = Round(80);
  record.committed = false;
  record.attempt = 2;
  record.reason = "1 of at least 2 reported";
  ASSERT_TRUE(display->RoundDone(record).ok());
  EXPECT_EQ(output_.Take(),
            "1970-01-01T00:00:00Z round 80   attempt 2 abandoned: 1 of at least 2 reported\n");
}

TEST_F(ProgressTest, LegsAfterTheFirstAreNamed) {
  const auto display = Plain();
  ASSERT_TRUE(display->LegStarted("maml", "maml", 200).ok());
  ASSERT_TRUE(display->LegStarted("fedavg-2", "fedavg", 200).ok());
  ASSERT_TRUE(display->RoundDone(Round(1)).ok());
  ASSERT_TRUE(display->LegStarted("local", "local", 0).ok());
  EXPECT_THAT(output_.Take(), testing::AllOf(HasSubstr("Z fedavg-2 round   1/200"),
                                             HasSubstr("Z local: nothing to train")));
}

TEST_F(ProgressTest, RegressionShowsNoAccuracy) {
  const auto display = Plain();
  RunHeading heading = Heading();
  heading.classification = false;
  ASSERT_TRUE(display->Started(heading).ok());
  ASSERT_TRUE(display->LegStarted("maml", "maml", 200).ok());
  ASSERT_TRUE(display->RoundDone(Round(1)).ok());
  EXPECT_THAT(output_.Take(), EndsWith("round   1/200  loss 0.412  2/2 reported\n"));
}

TEST_F(ProgressTest, TheTerminalRewritesOneLine) {
  const auto display = Terminal();
  ASSERT_TRUE(display->Started(Heading()).ok());
  EXPECT_EQ(output_.Take(),
            "fashion-maml   conv4, 28,485 parameters   maml, 5 steps\n"
            "  100 clients (20 held out), 2 a round   seed 7\n"
            "  machine  2 threads\n"
            "  out      runs/x\n");
  ASSERT_TRUE(display->LegStarted("maml", "maml", 200).ok());
  clock_.Advance(Duration(100000));
  ASSERT_TRUE(display->RoundDone(Round(100)).ok());
  clock_.Advance(Duration(1000));
  ASSERT_TRUE(display->RoundDone(Round(101)).ok());
  // 79 columns: the rate and the word "accuracy" give way.
  const std::string text = output_.Take();
  EXPECT_THAT(text, HasSubstr("round 100/200 ["));
  EXPECT_THAT(text, HasSubstr(std::string(kErase) + "round 101/200 ["));
  EXPECT_THAT(text, Not(HasSubstr("\n")));
  EXPECT_THAT(text, EndsWith("loss 0.412  84.6 %  2/2 reported"));
}

TEST_F(ProgressTest, TheTerminalIsNotRedrawnMoreThanTenTimesASecond) {
  const auto display = Terminal();
  ASSERT_TRUE(display->LegStarted("maml", "maml", 200).ok());
  for (std::uint64_t round = 1; round <= 100; ++round) {
    clock_.Advance(Duration(10));
    ASSERT_TRUE(display->RoundDone(Round(round)).ok());
  }
  const std::string text = output_.Take();
  int draws = 0;
  for (std::size_t at = text.find("round "); at != std::string::npos; at = text.find(" [", at + 1))
    ++draws;
  EXPECT_LE(draws, 12);
  EXPECT_GE(draws, 9);
}

TEST_F(ProgressTest, NotesScrollAwayAboveTheMovingLine) {
  const auto display = Terminal();
  ASSERT_TRUE(display->LegStarted("maml", "maml", 200).ok());
  ASSERT_TRUE(display->RoundDone(Round(1)).ok());
  const std::string moving = output_.Take();
  ASSERT_TRUE(display->Note("site-3 is back").ok());
  EXPECT_EQ(output_.Take(), kErase + ("site-3 is back\n" + moving));
}

TEST_F(ProgressTest, NoMovingLineIsWiderThanTheTerminal) {
  const auto display = Terminal();
  ASSERT_TRUE(PlaySampleRun({.rounds = 100}, *display, clock_).ok());
  const std::string text = output_.Take();
  // Columns since the last line end or erasure.
  std::size_t column = 0, widest_moving = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text.compare(i, 4, kErase) == 0) {
      widest_moving = std::max(widest_moving, column);
      column = 0;
      i += 3;
    } else {
      column = text[i] == '\n' ? 0 : column + 1;
    }
  }
  EXPECT_GE(widest_moving, 60u);
  EXPECT_LE(widest_moving, 79u);
}

TEST_F(ProgressTest, EvaluationTablesHaveStepsAsColumns) {
  const auto display = Terminal();
  ASSERT_TRUE(display->Started(Heading()).ok());
  ASSERT_TRUE(display->LegStarted("maml", "maml", 200).ok());
  output_.Take();
  std::vector<EvaluationRecord> records = {Record("", true, 20, {0.341, 0.719, 0.838})};
  for (int i = 0; i < 20;
       ++i)  // the worst tenth are two clients: means of 0.2 and 0.4, 0.5 and 0.7
    records.push_back(Record("c" + std::to_string(i), true, 1,
                             i == 0   ? std::vector{0.2, 0.5, 0.6}
                             : i == 1 ? std::vector{0.4, 0.7, 0.8}
                                      : std::vector{0.9, 0.9, 0.9}));
  ASSERT_TRUE(display->Evaluated(records).ok());
  EXPECT_EQ(output_.Take(),
            "evaluation, 20 held-out clients   steps:      0      1      5\n"
            "  accuracy mean                            34.1   71.9   83.8\n"
            "  worst decile                             30.0   60.0   70.0\n");
}

TEST_F(ProgressTest, EvaluationOffATerminalIsOneLine) {
  const auto display = Plain();
  ASSERT_TRUE(display->Started(Heading()).ok());
  output_.Take();
  const std::vector<EvaluationRecord> records = {Record("", true, 20, {0.341, 0.719})};
  ASSERT_TRUE(display->Evaluated(records).ok());
  EXPECT_EQ(output_.Take(),
            "1970-01-01T00:00:00Z evaluation of maml, round 100, 20 held-out clients  steps 0/1  "
            "accuracy mean 34.1/71.9\n");
}

TEST_F(ProgressTest, ALiveFederationShowsNoQuantileOverFewClients) {
  const auto display = Plain();
  RunHeading heading = Heading();
  heading.live = true;
  ASSERT_TRUE(display->Started(heading).ok());
  const std::vector<EvaluationRecord> records = {
      Record("", true, 2, {0.5}), Record("a", true, 1, {0.4}), Record("b", true, 1, {0.6})};
  ASSERT_TRUE(display->Evaluated(records).ok());
  EXPECT_THAT(output_.Take(), Not(HasSubstr("worst")));
}

TEST_F(ProgressTest, TestFiguresAreShownAtTheRateThatValidationPrefers) {
  const auto display = Plain();
  ASSERT_TRUE(display->Started(Heading()).ok());
  output_.Take();
  EvaluationRecord validation = Record("", false, 1, {0.5, 0.6});
  validation.cells[1].steps = 0;  // two rates at step 0; the second is better on validation
  validation.cells[1].learning_rate = 0.2;
  EvaluationRecord test = Record("", true, 1, {0.9, 0.7});
  test.cells[1].steps = 0;
  test.cells[1].learning_rate = 0.2;
  ASSERT_TRUE(display->Evaluated({&validation, 1}).ok());
  EXPECT_EQ(output_.Take(), "");
  ASSERT_TRUE(display->Evaluated({&test, 1}).ok());
  EXPECT_THAT(output_.Take(), EndsWith("accuracy mean 70.0\n"));
}

TEST_F(ProgressTest, TheEndHasTheComparisonAndWhatToDoNext) {
  const auto display = Terminal();
  ASSERT_TRUE(display->Started(Heading()).ok());
  output_.Take();
  const auto cells = [](double first, double tuned) -> std::vector<FinalCell> {
    return {{.shots = 1,
             .steps = 0,
             .accuracy_mean = first,
             .accuracy_std = {},
             .accuracy_worst_decile = {},
             .clients = 20},
            {.shots = 1,
             .steps = 1,
             .accuracy_mean = first + 0.1,
             .accuracy_std = {},
             .accuracy_worst_decile = {},
             .clients = 20},
            {.shots = 1,
             .steps = 9,
             .tuned = true,
             .accuracy_mean = tuned,
             .accuracy_std = {},
             .accuracy_worst_decile = {},
             .clients = 20}};
  };
  RunSummary summary{.rounds = 200, .reports = 2000, .dropped = 3, .wall_s = 184};
  summary.main = {.method = "maml", .leg = "maml", .best_round = 180, .cells = cells(0.229, 0.742)};
  summary.baselines = {{.method = "local", .leg = "local", .cells = cells(0.245, 0.593)},
                       {.method = "fedavg", .leg = "fedavg-2", .cells = cells(0.245, 0.614)}};
  ASSERT_TRUE(display->Finished(summary).ok());
  EXPECT_EQ(output_.Take(),
            "20 held-out clients, 1 example a class\n"
            "  accuracy after               0 steps    1 step     tuned\n"
            "  alone, from scratch             24.5      34.5      59.3\n"
            "  FedAvg, then adapted            24.5      34.5      61.4\n"
            "  fedmeta (MAML)                  22.9      32.9      74.2\n"
            "done in 3 min 4 s: completed, 200 rounds, 2,000 reports, 3 dropped; best: round 180\n"
            "  look   fedmeta report runs/x        use   python3 runs/x/load.py\n");
}

TEST_F(ProgressTest, AFailureIsSaidWithItsReason) {
  const auto display = Plain();
  ASSERT_TRUE(display->Started(Heading()).ok());
  output_.Take();
  RunSummary summary{
      .status = RunStatus::kFailed, .reason = "quorum lost", .rounds = 12, .wall_s = 9};
  ASSERT_TRUE(display->Finished(summary).ok());
  EXPECT_THAT(
      output_.Take(),
      HasSubstr("Z ended after 9.0 s: failed (quorum lost), 12 rounds, 0 reports, 0 dropped\n"));
}

class FailingObserver final : public RunObserver {
 public:
  Status Started(const RunHeading&) override { return Fail(); }
  Status LegStarted(const std::string&, const std::string&, std::uint64_t) override {
    return Fail();
  }
  Status RoundDone(const RoundRecord&) override { return Fail(); }
  Status Evaluated(std::span<const EvaluationRecord>) override { return Fail(); }
  Status Checkpoint(const std::string&, const StateLayout&, std::span<const float>,
                    const std::map<std::string, std::string>&) override {
    return Fail();
  }
  Status HistoryBegins() override { return Fail(); }
  Status HistoryEnds(const std::string&, std::uint64_t) override { return Fail(); }
  Status Paused(const RunSummary&) override { return Fail(); }
  Status Note(const std::string&) override { return Fail(); }
  Status Finished(const RunSummary&) override { return Fail(); }

 private:
  static Status Fail() { return Error(ErrorCode::kResourceExhausted, "disk full"); }
};

TEST_F(ProgressTest, AChainStopsAtTheFirstErrorSoThatNoSuccessIsShown) {
  std::vector<std::unique_ptr<RunObserver>> observers;
  observers.push_back(std::make_unique<FailingObserver>());
  observers.push_back(Plain());
  const auto chain = MakeObserverChain(std::move(observers));
  EXPECT_EQ(chain->Finished({}).error().message(), "disk full");
  EXPECT_EQ(output_.Take(), "");
}

}  // namespace
}  // namespace fedmeta
