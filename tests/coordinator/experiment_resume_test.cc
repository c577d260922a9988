// Experiments that go on after their process ended.
#include "engine_harness.h"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fedmeta/coordinator/experiment_engine.h"

namespace fedmeta {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

v1::Experiment LongExperiment() {
  v1::Experiment experiment = DemoExperiment(5, 3, 2);
  experiment.mutable_evaluation()->set_every(2);
  return experiment;
}
const std::vector<LegFacts>& Legs() {
  static const std::vector<LegFacts> legs = {DemoLeg("maml"), DemoLeg("fedavg-1", false),
                                             DemoLeg("fedavg-2", false),
                                             DemoLeg("local", false, false)};
  return legs;
}

/// Round results that differ from round to round and from leg to leg, so that a lost one shows.
RoundResult Figures(const RunWork& work) {
  const RoundKey& key = work.plan.key();
  const double salt = static_cast<double>(key.experiment.value().size());
  const double accuracy = 1.0 / (1.0 + static_cast<double>((key.round * 7 + 3) % 5) + salt);
  return {Cells(MetricCells(work.plan.message()), work.reported, 1, accuracy), {}};
}

void JoinAll(EngineHarness& harness) {
  for (const char* client : {"a", "b", "c", "d"}) harness.Join(client);
  harness.Join("h", v1::ROLE_HOLDOUT);
}

/// What a reader of the records sees, without what only one of the two says.
std::vector<std::string> Records(const EngineHarness& harness) {
  std::vector<std::string> lines;
  for (const std::string& line : harness.Lines()) {
    if (line.starts_with("round ") && line.find("the process") != std::string::npos) continue;
    if (line.starts_with("round ") || line.starts_with("evaluation ") ||
        line.starts_with("report leg") || line.starts_with("checkpoint ") ||
        line.starts_with("finish")) {
      lines.push_back(line.substr(0, line.rfind('.')));  // attempt numbers go on
    }
  }
  return lines;
}

TEST(ExperimentResumeTest, GoesOnFromAnyInstantAsIfNothingHadHappened) {
  EngineHarness whole(LongExperiment(), Legs());
  whole.close = Figures;
  JoinAll(whole);
  whole.Run();
  ASSERT_NE(whole.finish(), nullptr);
  const RunSummary& expected = whole.finish()->summary;

  std::size_t cut = 0;
  for (bool finished = false; !finished; ++cut) {
    EngineHarness before(LongExperiment(), Legs());
    before.close = Figures;
    JoinAll(before);
    before.Run(cut);
    finished = before.engine().finished();

    std::vector<AttemptRecord> history = before.journal;
    if (before.open) {
      AttemptRecord cut_off;
      cut_off.key = *before.open;
      cut_off.reason = "the process ended";
      cut_off.cut_off = true;
      history.push_back(cut_off);
    }
    EngineHarness after(LongExperiment(), Legs());
    after.close = Figures;
    ASSERT_TRUE(after.engine().Restore(HistoryOf(history), before.present).ok());
    JoinAll(after);
    after.Run();
    ASSERT_NE(after.finish(), nullptr) << cut;
    EXPECT_EQ(Records(after), Records(whole)) << cut;
    const RunSummary& summary = after.finish()->summary;
    EXPECT_EQ(summary.status, RunStatus::kCompleted);
    EXPECT_EQ(summary.rounds, expected.rounds);
    EXPECT_EQ(summary.reports, expected.reports);
    EXPECT_EQ(summary.dropped, expected.dropped);
    EXPECT_EQ(summary.main.best_round, expected.main.best_round);
    EXPECT_EQ(summary.main.validation_score, expected.main.validation_score);
    ASSERT_EQ(summary.baselines.size(), expected.baselines.size());
    for (std::size_t i = 0; i < expected.baselines.size(); ++i) {
      EXPECT_EQ(summary.baselines[i].leg, expected.baselines[i].leg);
      EXPECT_EQ(summary.baselines[i].best_round, expected.baselines[i].best_round);
    }
    // No attempt number twice, and plans that ask for the same.
    std::set<RoundKey> keys;
    for (const AttemptRecord& record : history) EXPECT_TRUE(keys.insert(record.key).second);
    for (const AttemptRecord& record : after.journal) {
      EXPECT_TRUE(keys.insert(record.key).second) << record.key.ToString();
    }
  }
  EXPECT_GT(cut, 100U);
}

TEST(ExperimentResumeTest, TellsTheHistoryBeforeItStartsTheLegWhereItWas) {
  EngineHarness before(LongExperiment(), Legs());
  JoinAll(before);
  while (before.journal.size() < 2) before.Run(1);  // rounds 1 and 2
  EngineHarness after(LongExperiment(), Legs());
  ASSERT_TRUE(after.engine().Restore(HistoryOf(before.journal), {}).ok());
  JoinAll(after);
  after.Run(0);
  const auto lines = after.Lines();
  ASSERT_GE(lines.size(), 7U);
  EXPECT_THAT(
      std::vector<std::string>(lines.begin(), lines.begin() + 7),
      ElementsAre("history begins", "report leg 0", "round maml 1.1 committed",
                  "round maml 2.1 committed", "history ends 0 2", "leg 0 from demo/maml train 2.1",
                  "persist begin demo/maml evaluate 2.1"));
}

TEST(ExperimentResumeTest, WaitsForThoseWhoWerePresent) {
  EngineHarness before(LongExperiment(), Legs());
  JoinAll(before);
  while (before.journal.empty()) before.Run(1);
  EngineHarness after(LongExperiment(), Legs());
  ASSERT_TRUE(after.engine().Restore(HistoryOf(before.journal), before.present).ok());
  for (const char* client : {"a", "b", "c"}) after.Join(client);
  after.Run(0);
  EXPECT_THAT(after.LinesWith("persist"), IsEmpty());  // enough for a round, but d and h were there
  after.Join("d");
  EXPECT_THAT(after.LinesWith("persist"), IsEmpty());
  after.Join("h", v1::ROLE_HOLDOUT);
  EXPECT_THAT(after.LinesWith("persist"), ElementsAre("persist begin demo/maml train 2.1"));
}

TEST(ExperimentResumeTest, AfterLostAfterItGoesOnWithThoseWhoCameBack) {
  EngineHarness before(LongExperiment(), Legs());
  JoinAll(before);
  while (before.journal.empty()) before.Run(1);
  EngineHarness after(LongExperiment(), Legs());
  ASSERT_TRUE(after.engine().Restore(HistoryOf(before.journal), before.present).ok());
  for (const char* client : {"a", "b"}) after.Join(client);
  after.Run(1);  // the timer
  EXPECT_THAT(after.LinesWith("persist"), ElementsAre("persist begin demo/maml train 2.1"));
}

TEST(ExperimentResumeTest, MoreRoundsExtendEachLeg) {
  EngineHarness before(DemoExperiment(2, 2, 2), {DemoLeg("maml"), DemoLeg("fedavg", false)});
  before.Join("a");
  before.Join("b");
  before.Run();
  EngineHarness after(DemoExperiment(3, 2, 2), {DemoLeg("maml"), DemoLeg("fedavg", false)});
  ASSERT_TRUE(after.engine().Restore(HistoryOf(before.journal), {}).ok());
  after.Join("a");
  after.Join("b");
  after.Run();
  EXPECT_THAT(
      after.LinesWith("persist commit"),
      ElementsAre("persist commit demo/maml train 3.1", "persist commit demo/fedavg train 3.1"));
  EXPECT_EQ(after.finish()->summary.rounds, 3U);
}

TEST(ExperimentResumeTest, ARunThatFailedGetsFreshRetries) {
  EngineHarness before(DemoExperiment(1, 1, 1), {DemoLeg("maml")});
  before.Join("a");
  before.hostile = {"a"};
  before.Run();
  ASSERT_EQ(before.finish()->summary.status, RunStatus::kFailed);
  EngineHarness after(DemoExperiment(1, 1, 1), {DemoLeg("maml")});
  ASSERT_TRUE(after.engine().Restore(HistoryOf(before.journal), {}).ok());
  after.Join("a");
  after.Run();
  EXPECT_EQ(after.finish()->summary.status, RunStatus::kCompleted);
  EXPECT_THAT(after.LinesWith("persist commit"), ElementsAre("persist commit demo/maml train 1.4"));
}

TEST(ExperimentResumeTest, AHistoryThatDoesNotFollowIsRefused) {
  EngineHarness before(LongExperiment(), Legs());
  JoinAll(before);
  while (before.journal.size() < 2) before.Run(1);
  const AttemptRecord& second = before.journal.back();
  const auto gap = RunHistory::Create({{.key = second.key, .outcome = SerializeRecord(second)}});
  ASSERT_FALSE(gap.ok());
  EXPECT_EQ(gap.error().code(), ErrorCode::kDataLoss);
  EXPECT_THAT(gap.error().message(), HasSubstr("demo/maml train 2.1 where round 1 follows"));
}

TEST(ExperimentResumeTest, AHistoryOfAnotherExperimentIsRefused) {
  EngineHarness before(LongExperiment(), {DemoLeg("other")});
  JoinAll(before);
  while (before.journal.size() < 2) before.Run(1);
  EngineHarness after(LongExperiment(), Legs());
  const Status status = after.engine().Restore(HistoryOf(before.journal), {});
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code(), ErrorCode::kDataLoss);
  EXPECT_THAT(status.error().message(), HasSubstr("of which this experiment knows nothing"));
}

/// 600 rounds of two legs, the first extended after the second had begun.
class LongHistoryTest : public ::testing::Test {
 protected:
  LongHistoryTest() {
    for (const auto& [leg, rounds] : {std::pair("maml", 600), std::pair("fedavg", 600)}) {
      for (int round = 1; round <= rounds; ++round) {
        AttemptRecord record;
        record.key = {.experiment = ExperimentId(std::string("demo/") + leg),
                      .purpose = Purpose::kTrain,
                      .round = static_cast<std::uint64_t>(round),
                      .attempt = 1};
        record.committed = true;
        record.reported = {ClientId("a"), ClientId(round > 300 ? "b" : "c")};
        record.wall_s = 0.5;
        records_.push_back(std::move(record));
      }
    }
    EXPECT_TRUE(after_.engine().Restore(HistoryOf(records_), {}).ok());
  }
  static v1::Experiment Extended() { return DemoExperiment(601, 2, 2); }
  std::vector<AttemptRecord> records_;
  EngineHarness after_{Extended(), {DemoLeg("maml"), DemoLeg("fedavg", false)}};
};

TEST_F(LongHistoryTest, IsToldAPageAtATimeAndThenTheLegGoesOn) {
  after_.Join("a");
  std::size_t most = 0;
  std::size_t page = 0;
  after_.on_instruction = [&](const Instruction& instruction) {
    // Instructions that follow on one another without anything being asked in between.
    const bool ends = std::holds_alternative<TellMore>(instruction) ||
                      std::holds_alternative<HistoryEnds>(instruction);
    page = ends ? 0 : page + 1;
    most = std::max(most, page);
  };
  after_.Join("b");
  after_.Run();
  EXPECT_LT(most, 300U) << "of the 600 lines of a leg";
  EXPECT_THAT(after_.LinesWith("round maml"), SizeIs(601));
  EXPECT_THAT(after_.LinesWith("round fedavg"), SizeIs(601));
  EXPECT_THAT(after_.LinesWith("persist commit"),
              ElementsAre("persist commit demo/maml train 601.1",
                          "persist commit demo/fedavg train 601.1"));
  EXPECT_THAT(after_.LinesWith("history"), ElementsAre("history begins", "history ends 0 600",
                                                       "history begins", "history ends 1 600"));
}
TEST_F(LongHistoryTest, CancelledWhileItIsToldItEnds) {
  after_.Run(0);
  after_.Give(CancelAsked{.reason = "stop", .interrupted = true});
  EXPECT_TRUE(after_.engine().finished());
  EXPECT_EQ(after_.finish()->summary.status, RunStatus::kInterrupted);
  EXPECT_EQ(after_.LinesWith("history").back().substr(0, 12), "history ends");
}
TEST_F(LongHistoryTest, AnEnvironmentThatFailsMeanwhileEndsIt) {
  after_.Run(0);
  after_.Give(DriverFailed{Error(ErrorCode::kInternal, "disk full")});
  EXPECT_EQ(after_.finish()->summary.status, RunStatus::kFailed);
}
TEST_F(LongHistoryTest, SaysInWhichRoundsClientsWereCountedLast) {
  const RunHistory history = HistoryOf(records_);
  EXPECT_EQ(history.wall_s(), 600);
  EXPECT_EQ(history.last_counted().at(ClientId("c")).at(ExperimentId("demo/maml")).round, 300U);
  EXPECT_EQ(history.last_counted().at(ClientId("b")).at(ExperimentId("demo/fedavg")).round, 600U);
}

v1::Experiment Policy(const std::string& policy) {
  v1::Experiment experiment = DemoExperiment(1, 1, 1);
  experiment.mutable_federation()->set_on_quorum_miss(policy);
  return experiment;
}

TEST(QuorumMissTest, FailEndsAtTheFirst) {
  EngineHarness harness(Policy("fail"), {DemoLeg("maml")});
  harness.Join("a");
  harness.hostile = {"a"};
  harness.Run();
  EXPECT_EQ(harness.finish()->summary.status, RunStatus::kFailed);
  EXPECT_EQ(harness.LinesWith("persist begin").size(), 1U);
}

TEST(QuorumMissTest, PauseStandsStillUntilSomebodyJoins) {
  EngineHarness harness(Policy("pause"), {DemoLeg("maml")});
  harness.Join("a");
  harness.hostile = {"a"};
  harness.Run();
  EXPECT_TRUE(harness.engine().paused());
  EXPECT_EQ(harness.finish(), nullptr);
  EXPECT_THAT(harness.Lines(), Contains(HasSubstr("pause demo/maml round 1 failed in 3 attempts")));
  harness.hostile = {};
  harness.Join("b");
  harness.Run();
  ASSERT_NE(harness.finish(), nullptr);
  EXPECT_EQ(harness.finish()->summary.status, RunStatus::kCompleted);
}

TEST(QuorumMissTest, APausedRunThatIsStoppedSaysWhy) {
  EngineHarness harness(Policy("pause"), {DemoLeg("maml")});
  harness.Join("a");
  harness.hostile = {"a"};
  harness.Run();
  harness.Give(CancelAsked{"SIGTERM", true});
  ASSERT_NE(harness.finish(), nullptr);
  EXPECT_EQ(harness.finish()->summary.status, RunStatus::kPaused);
  EXPECT_THAT(harness.finish()->summary.reason, HasSubstr("not finite"));
}

TEST(QuorumMissTest, EveryMissIsNoted) {
  EngineHarness harness(Policy("retry"), {DemoLeg("maml")});
  harness.Join("a");
  harness.hostile = {"a"};
  harness.Run();
  EXPECT_THAT(harness.LinesWith("note"),
              ElementsAre(HasSubstr("missed its quorum"), HasSubstr("attempt 3 of 3")));
}

}  // namespace
}  // namespace fedmeta
