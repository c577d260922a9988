#include "fedmeta/coordinator/plain_round_engine.h"

#include "engine_harness.h"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fedmeta/coordinator/plan_factory.h"

namespace fedmeta {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

/// One attempt at round 1 over clients a, b, c, of whom two must report; every step is given by
/// hand.
class PlainRoundEngineTest : public ::testing::Test {
 protected:
  explicit PlainRoundEngineTest(bool evaluate = false, std::uint32_t enough = 0)
      : plans_(DemoExperiment(3, 3, 2), DemoLeg("maml")),
        plan_(evaluate ? plans_.Evaluate(v1::PART_TEST, 1, 2, std::nullopt, Digest::Of("s")).value()
                       : plans_.Train(1, 1, std::nullopt, Digest::Of("s")).value()),
        engine_(MakePlainRoundEngine({.plan = plan_,
                                      .cohort = {ClientId("a"), ClientId("b"), ClientId("c")},
                                      .minimum = 2,
                                      .enough = enough,
                                      .population = 5,
                                      .report_deadline = std::chrono::seconds(60)},
                                     tickets_)) {
    Take(engine_->Start(now_));
  }

  std::vector<std::string> Take(std::vector<Instruction> instructions) {
    for (const Instruction& instruction : instructions) {
      if (const auto* persist = std::get_if<Persist>(&instruction)) {
        ticket_ = persist->ticket;
        outcome_ = persist->outcome;
      }
      if (const auto* timer = std::get_if<SetTimer>(&instruction)) timer_ = timer->timer;
      if (const auto* work = std::get_if<RunWork>(&instruction)) {
        if (work->work == Work::kAddUpload) {
          adds_[work->client.value()] = work->ticket;
        } else {
          ticket_ = work->ticket;
        }
      }
    }
    return Describe(instructions);
  }
  std::vector<std::string> Give(const Event& event) { return Take(engine_->Handle(event, now_)); }
  std::vector<std::string> Stored(Status status = {}) {
    return Give(StoreFinished{ticket_, std::move(status)});
  }
  std::vector<std::string> Staged(const std::string& client) {
    return Give(UploadStaged{plan_.key(), ClientId(client), 1});
  }
  std::vector<std::string> Added(const std::string& client, Status status = {}) {
    return Give(WorkFinished{adds_.at(client), std::move(status), std::nullopt});
  }
  std::vector<std::string> Closed() {
    return Give(WorkFinished{ticket_, {}, RoundResult{Cells(1, 2, 1, 0.5), {}}});
  }
  std::vector<std::string> Deadline() {
    now_ += std::chrono::seconds(60);
    return Give(TimerFired{timer_});
  }
  std::vector<std::string> Dropped() const {
    std::vector<std::string> dropped;
    for (const DroppedClient& client : outcome_->dropped) {
      dropped.push_back(client.client + " " + client.phase + ": " + client.reason);
    }
    return dropped;
  }
  void Report(const std::string& client) {
    Staged(client);
    Added(client);
  }

  PlanFactory plans_;
  RoundPlan plan_;
  Tickets tickets_;
  std::unique_ptr<RoundEngine> engine_;
  TimePoint now_{};
  std::uint64_t ticket_ = 0, timer_ = 0;
  std::map<std::string, std::uint64_t> adds_;
  std::optional<AttemptRecord> outcome_;  // of the last Persist
};

class PlainEvaluationTest : public PlainRoundEngineTest {
 protected:
  PlainEvaluationTest() : PlainRoundEngineTest(true) {}
};

TEST_F(PlainRoundEngineTest, SendsNothingBeforeTheAttemptIsStored) {
  EXPECT_EQ(engine_->phase(), "begin");
  EXPECT_THAT(Stored(), ElementsAre("plan a,b,c demo/maml train 1.1", "timer at 60000"));
  EXPECT_EQ(engine_->phase(), "collect");
}

TEST_F(PlainRoundEngineTest, CommitsWhenAllHaveReported) {
  Stored();
  EXPECT_THAT(Staged("b"), ElementsAre("add b"));
  EXPECT_THAT(Staged("a"), ElementsAre("add a"));
  EXPECT_THAT(Added("b"), IsEmpty());
  EXPECT_THAT(Added("a"), IsEmpty());
  Staged("c");
  EXPECT_THAT(Added("c"), ElementsAre("sum of 3 demo/maml train 1.1"));
  EXPECT_THAT(Closed(), ElementsAre("persist commit demo/maml train 1.1"));
  EXPECT_FALSE(engine_->over());
  EXPECT_THAT(Stored(), ElementsAre("close a,b,c demo/maml train 1.1 counted"));
  ASSERT_TRUE(engine_->over());
  EXPECT_TRUE(outcome_->committed);
  EXPECT_THAT(outcome_->reported, ElementsAre(ClientId("a"), ClientId("b"), ClientId("c")));
}

TEST_F(PlainEvaluationTest, StoresItsFigures) {
  Stored();
  for (const char* client : {"a", "b", "c"}) Report(client);
  EXPECT_THAT(Closed(), ElementsAre("persist figures demo/maml evaluate 1.2"));
  EXPECT_THAT(Stored(), ElementsAre("close a,b,c demo/maml evaluate 1.2 counted"));
  EXPECT_TRUE(outcome_->committed);
}

TEST_F(PlainRoundEngineTest, DropsAHostileUploadAndGoesOn) {
  Stored();
  Report("a");
  Staged("b");
  EXPECT_THAT(
      Added("b", Error(ErrorCode::kInvalidArgument, "theta/w is not finite")),
      ElementsAre("close b demo/maml train 1.1 not counted: upload: theta/w is not finite"));
  Staged("c");
  EXPECT_THAT(Added("c"), ElementsAre("sum of 2 demo/maml train 1.1"));
  Closed();
  EXPECT_THAT(Stored(), ElementsAre("close a,c demo/maml train 1.1 counted"));
  EXPECT_THAT(Dropped(), ElementsAre("b upload: theta/w is not finite"));
}

TEST_F(PlainRoundEngineTest, ADroppedClientDoesNotComeBack) {
  Stored();
  Give(ClientFailed{plan_.key(), ClientId("a"), "training", "invalid_argument: no data"});
  EXPECT_THAT(Give(ClientJoined{ClientId("a"), v1::ROLE_TRAIN}), IsEmpty());
  EXPECT_THAT(Staged("a"), IsEmpty());
}

TEST_F(PlainRoundEngineTest, DoesNotWaitForALostClient) {
  Stored();
  Report("a");
  Report("b");
  EXPECT_THAT(Give(ClientLost{ClientId("c"), "silent for 5 s"}),
              ElementsAre("sum of 2 demo/maml train 1.1"));
  Closed();
  EXPECT_THAT(Stored(),
              ElementsAre("close a,b demo/maml train 1.1 counted",
                          "close c demo/maml train 1.1 not counted: lost: silent for 5 s"));
}

TEST_F(PlainRoundEngineTest, ALostClientThatJoinsAgainGetsThePlanAgain) {
  Stored();
  Give(ClientLost{ClientId("c"), "silent"});
  EXPECT_THAT(Give(ClientJoined{ClientId("c"), v1::ROLE_TRAIN}),
              ElementsAre("plan c demo/maml train 1.1"));
  Report("a");
  Report("b");
  Staged("c");
  EXPECT_THAT(Added("c"), ElementsAre("sum of 3 demo/maml train 1.1"));
}

TEST_F(PlainRoundEngineTest, ARestartedClientGetsThePlanAgainUnlessItReported) {
  Stored();
  EXPECT_THAT(Give(ClientJoined{ClientId("c"), v1::ROLE_TRAIN}),
              ElementsAre("plan c demo/maml train 1.1"));
  Report("a");
  EXPECT_THAT(Give(ClientJoined{ClientId("a"), v1::ROLE_TRAIN}), IsEmpty());
  EXPECT_THAT(Give(ClientJoined{ClientId("stranger"), v1::ROLE_TRAIN}), IsEmpty());
}

TEST_F(PlainRoundEngineTest, AnUploadStagedBeforeItsClientWasLostCounts) {
  Stored();
  Staged("c");
  EXPECT_THAT(Give(ClientLost{ClientId("c"), "silent"}), IsEmpty());
  Added("c");
  Report("a");
  Staged("b");
  EXPECT_THAT(Added("b"), ElementsAre("sum of 3 demo/maml train 1.1"));
}

TEST_F(PlainRoundEngineTest, TheDeadlineClosesWithEnoughReports) {
  Stored();
  Report("a");
  Report("b");
  EXPECT_THAT(Deadline(), ElementsAre("sum of 2 demo/maml train 1.1"));
  Closed();
  Stored();
  EXPECT_THAT(Dropped(), ElementsAre("c deadline: no report within 1 min 0 s"));
}

TEST_F(PlainRoundEngineTest, AddsUnderWayAtTheDeadlineAreWaitedFor) {
  Stored();
  Report("a");
  Staged("b");
  EXPECT_THAT(Deadline(), IsEmpty());
  EXPECT_THAT(Staged("c"), IsEmpty());  // too late
  EXPECT_THAT(Added("b"), ElementsAre("sum of 2 demo/maml train 1.1"));
}

TEST_F(PlainRoundEngineTest, TheDeadlineBelowTheMinimumAbandonsWithFigures) {
  Stored();
  Report("a");
  const auto lines = Deadline();
  ASSERT_EQ(lines.size(), 1U);
  EXPECT_EQ(lines[0],
            "persist abandon demo/maml train 1.1: 1 of 3 reported, 2 needed; b: deadline, no "
            "report within 1 min 0 s; c: deadline, no report within 1 min 0 s");
  Stored();
  EXPECT_FALSE(outcome_->committed);
  EXPECT_THAT(outcome_->reason, HasSubstr("1 of 3 reported, 2 needed"));
  EXPECT_TRUE(engine_->over()->ok());
}

TEST_F(PlainRoundEngineTest, AbandonsAsSoonAsTheMinimumIsOutOfReach) {
  Stored();
  Give(ClientFailed{plan_.key(), ClientId("a"), "training", "no memory"});
  const auto lines = Give(ClientLost{ClientId("b"), "silent"});
  EXPECT_THAT(lines, ElementsAre("persist abandon demo/maml train 1.1: 0 of 3 reported, 2 "
                                 "needed; a: training, no memory; b: lost, silent"));
  const auto closed = Stored();
  ASSERT_EQ(closed.size(), 2U);
  EXPECT_THAT(closed[0], HasSubstr("close c demo/maml train 1.1 not counted: 0 of 3"));
}

TEST_F(PlainRoundEngineTest, IgnoresFactsOfOtherAttempts) {
  Stored();
  RoundKey old = plan_.key();
  old.attempt = 9;
  EXPECT_THAT(Give(UploadStaged{old, ClientId("a"), 0}), IsEmpty());
  EXPECT_THAT(Give(ClientFailed{old, ClientId("a"), "training", "x"}), IsEmpty());
  EXPECT_THAT(Give(TimerFired{timer_ + 1000}), IsEmpty());
  EXPECT_THAT(Give(StoreFinished{9999, {}}), IsEmpty());
  EXPECT_THAT(Give(WorkFinished{9999, {}, std::nullopt}), IsEmpty());
  EXPECT_THAT(Staged("stranger"), IsEmpty());
  Staged("a");
  EXPECT_THAT(Staged("a"), IsEmpty());  // twice
}

TEST_F(PlainRoundEngineTest, AStoreErrorEndsTheAttemptForGood) {
  const auto lines = Stored(Error(ErrorCode::kInternal, "disk full"));
  EXPECT_THAT(lines, ElementsAre("close a,b,c demo/maml train 1.1 not counted: disk full"));
  ASSERT_TRUE(engine_->over());
  EXPECT_FALSE(engine_->over()->ok());
}

TEST_F(PlainRoundEngineTest, AFailedSumAbandons) {
  Stored();
  for (const char* client : {"a", "b", "c"}) Report(client);
  const auto lines =
      Give(WorkFinished{ticket_, Error(ErrorCode::kInternal, "state not finite"), std::nullopt});
  EXPECT_THAT(lines,
              ElementsAre("persist abandon demo/maml train 1.1: closing failed: state not finite"));
}

TEST_F(PlainRoundEngineTest, CancelAbandonsWhileCollecting) {
  Stored();
  Staged("a");
  EXPECT_THAT(Give(CancelAsked{"stop", true}),
              ElementsAre("persist abandon demo/maml train 1.1: stop"));
  EXPECT_THAT(Added("a"), IsEmpty());  // its add was under way
  EXPECT_THAT(Stored(), ElementsAre("close a,b,c demo/maml train 1.1 not counted: stop"));
}

TEST_F(PlainRoundEngineTest, CancelBeforeThePlanIsSentAbandons) {
  EXPECT_THAT(Give(CancelAsked{"stop", true}), IsEmpty());
  EXPECT_THAT(Stored(), ElementsAre("persist abandon demo/maml train 1.1: stop"));
}

TEST_F(PlainRoundEngineTest, CancelWhileSummingAbandons) {
  Stored();
  for (const char* client : {"a", "b", "c"}) Report(client);
  EXPECT_THAT(Give(CancelAsked{"stop", true}),
              ElementsAre("persist abandon demo/maml train 1.1: stop"));
}

TEST_F(PlainRoundEngineTest, CancelDoesNotUndoACommitUnderWay) {
  Stored();
  for (const char* client : {"a", "b", "c"}) Report(client);
  Closed();
  EXPECT_THAT(Give(CancelAsked{"stop", true}), IsEmpty());
  Stored();
  EXPECT_TRUE(outcome_->committed);
}

TEST_F(PlainRoundEngineTest, TimesItsParts) {
  Stored();
  now_ += Duration(2000);
  Staged("a");
  now_ += Duration(500);
  Added("a");
  Report("b");
  Staged("c");
  Added("c");
  now_ += Duration(250);
  Closed();
  const auto& parts = outcome_->parts_s;
  EXPECT_DOUBLE_EQ(parts.at("wait"), 2.0);
  EXPECT_DOUBLE_EQ(parts.at("add"), 0.5);
  EXPECT_DOUBLE_EQ(parts.at("apply"), 0.25);
  EXPECT_DOUBLE_EQ(outcome_->wall_s, 2.75);
}

TEST_F(PlainRoundEngineTest, WhoComesBackDuringTheCommitIsStillDropped) {
  Stored();
  Report("a");
  Report("b");
  Give(ClientLost{ClientId("c"), "silent"});
  Closed();
  EXPECT_THAT(Give(ClientJoined{ClientId("c"), v1::ROLE_TRAIN}), IsEmpty());
  EXPECT_THAT(Dropped(), ElementsAre("c lost: silent"));
  EXPECT_THAT(Stored(), ElementsAre("close a,b demo/maml train 1.1 counted",
                                    "close c demo/maml train 1.1 not counted: lost: silent"));
}

/// Of a, b, c two are enough.
class OverSelectionTest : public PlainRoundEngineTest {
 protected:
  OverSelectionTest() : PlainRoundEngineTest(false, 2) {}
};

TEST_F(OverSelectionTest, ClosesWithTheFirstThatAreEnough) {
  Stored();
  Staged("b");
  Staged("c");
  EXPECT_THAT(Staged("a"), IsEmpty());  // whole, but beyond
  Added("b");
  EXPECT_THAT(Added("c"), ElementsAre("sum of 2 demo/maml train 1.1"));
  Closed();
  EXPECT_THAT(outcome_->reported, ElementsAre(ClientId("b"), ClientId("c")));
  EXPECT_THAT(Dropped(), ElementsAre("a surplus: enough reports came before it"));
}

TEST_F(OverSelectionTest, ASpareTakesThePlaceOfABadUpload) {
  Stored();
  Staged("b");
  Staged("c");
  Staged("a");
  EXPECT_THAT(Added("b", Error(ErrorCode::kInvalidArgument, "not finite")),
              ElementsAre(HasSubstr("close b"), "add a"));
  Added("c");
  EXPECT_THAT(Added("a"), ElementsAre("sum of 2 demo/maml train 1.1"));
}

}  // namespace
}  // namespace fedmeta
