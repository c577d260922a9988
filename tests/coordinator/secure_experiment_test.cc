// What an experiment makes of secure rounds that came to nothing.
#include "engine_harness.h"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fedmeta/coordinator/plan_factory.h"
#include "fedmeta/coordinator/secure_group.h"
#include "fedmeta/privacy/process_party.h"

namespace fedmeta {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

LegFacts SecureLeg() {
  LegFacts leg = DemoLeg("maml");
  v1::SecureTerms terms;
  terms.set_ring_bits(32);
  terms.set_clip(10);
  terms.set_metric_bound(100);
  terms.set_group_size(16);
  terms.set_minimum(3);
  leg.secure = {.terms = terms, .question = Digest::Of("question")};
  return leg;
}

/// An experiment of 30 rounds that goes on after this history, with sites a to e.
class SecureExperiment {
 public:
  explicit SecureExperiment(std::uint64_t rounds = 30)
      : experiment_(DemoExperiment(rounds, 5, 3)),
        engine_(experiment_, {SecureLeg()}, SmallGroups::kHide,
                {.federation = "shapes", .verifier = &authority_.verifier()}) {}

  /// How the next training round ended. `missing`: who made its session end.
  void Add(bool committed, bool spent = false, std::vector<std::string> missing = {},
           std::string_view phase = "share", std::vector<std::string> members = {}) {
    AttemptRecord record;
    record.key = {.experiment = ExperimentId("demo/maml"), .round = round_, .attempt = ++attempt_};
    record.committed = committed;
    record.spent = spent;
    record.reason = committed ? "" : "a reason";
    record.sessions = {{.session = 1,
                        .group = 0,
                        .members = std::move(members),
                        .phase = std::string(phase),
                        .missing = std::move(missing)}};
    if (committed) {
      record.state_hash = state_ = Digest::Of("state " + std::to_string(round_));
      head_ = record.key;
      record.result.metrics = Cells(1, 5, 1, 0.5);
    }
    history_.push_back(std::move(record));
    if (committed || spent) {
      ++round_;
      attempt_ = 0;
    }
  }

  /// A round whose sum too few of these could open.
  void AddSpent(std::vector<std::string> members) {
    Add(false, true, {}, "open", std::move(members));
  }

  /// An attempt that was charged, and whose sum turns out to be lost: spent.
  ChargedAttempt Charged() {
    AttemptRecord record;
    record.cohort = {ClientId("a"), ClientId("b"), ClientId("c")};
    return {.plan = PlanFactory(experiment_, SecureLeg())
                        .Train(round_, attempt_ + 1, head_, state_)
                        .value(),
            .attempt = std::move(record),
            .minimum = 3,
            .population = 5,
            .groups = {}};
  }

  /// Instructions until nothing more happens by itself; a kResumeAttempt finds nothing.
  void Start(std::optional<ChargedAttempt> charged = {}) {
    for (const char* client : {"a", "b", "c", "d", "e"})
      Take(engine_.Handle(ClientJoined{ClientId(client), v1::ROLE_TRAIN}, {}));
    const Status restored = engine_.Restore(HistoryOf(history_), {}, 0, std::move(charged));
    ASSERT_TRUE(restored.ok()) << restored.error().message();
    Take(engine_.Start({}));
  }

  /// Nobody else comes.
  void PassJoinDeadline() { Take(engine_.Handle(TimerFired{timer_}, {})); }

  /// Who is asked, of what: "train 4.1".
  std::vector<std::string> asked, notes;
  std::string what;
  std::optional<Finish> finish;

 private:
  void Take(std::vector<Instruction> instructions) {
    for (const Instruction& instruction : instructions) {
      if (const auto* persist = std::get_if<Persist>(&instruction)) {
        const Status status = persist->record == Record::kResumeAttempt
                                  ? Status(Error(ErrorCode::kDataLoss, "the sum is lost"))
                                  : Status();
        Take(engine_.Handle(StoreFinished{persist->ticket, status}, {}));
      } else if (const auto* plan = std::get_if<SendPlan>(&instruction)) {
        for (const ClientId& client : plan->clients) asked.push_back(client.value());
        what = plan->plan.key().ToString();
      } else if (const auto* timer = std::get_if<SetTimer>(&instruction)) {
        timer_ = timer->timer;
      } else if (const auto* note = std::get_if<ReportNote>(&instruction)) {
        notes.push_back(note->text);
      } else if (const auto* end = std::get_if<Finish>(&instruction)) {
        finish = *end;
      }
    }
  }

  ProcessAuthority authority_{"shapes"};
  const v1::Experiment experiment_;
  ExperimentEngine engine_;
  std::vector<AttemptRecord> history_;
  std::uint64_t round_ = 1;
  std::uint32_t attempt_ = 0;
  std::uint64_t timer_ = 0;  // the latest
  std::optional<RoundKey> head_;
  Digest state_ = SecureLeg().state_hash;
};

TEST(SecureExperimentTest, BothEndsOfADisputeSitOutTheFurtherAttemptsOfTheRound) {
  SecureExperiment again;
  again.Add(false, false, {"a", "b"}, kDisputed);
  again.Start();
  EXPECT_EQ(again.what, "demo/maml train 1.2");
  EXPECT_THAT(again.asked, ElementsAre("c", "d", "e"));

  SecureExperiment next;
  next.Add(false, false, {"a", "b"}, kDisputed);
  next.Add(true);
  next.Start();
  EXPECT_EQ(next.what, "demo/maml train 2.1");
  EXPECT_THAT(next.asked, ElementsAre("a", "b", "c", "d", "e"));
}

TEST(SecureExperimentTest, ThreeDisputesWithDistinctOthersExcludeUntilTheyAreForgotten) {
  for (const int since : {0, 17, 18}) {
    SecureExperiment experiment;
    for (const char* other : {"b", "c", "d"}) experiment.Add(true, false, {"a", other}, kDisputed);
    for (int i = 0; i < since; ++i) experiment.Add(true);
    experiment.Start();
    if (since < 18) {
      EXPECT_THAT(experiment.asked, ElementsAre("b", "c", "d", "e")) << since;
    } else {
      EXPECT_THAT(experiment.asked, ElementsAre("a", "b", "c", "d", "e"));
    }
  }
}

TEST(SecureExperimentTest, ASpentRoundIsPassedOver) {
  SecureExperiment experiment;
  experiment.Add(true);
  experiment.Start(experiment.Charged());
  EXPECT_EQ(experiment.what, "demo/maml train 3.1");
  EXPECT_THAT(experiment.asked, ElementsAre("a", "b", "c", "d", "e"));
}

TEST(SecureExperimentTest, AfterASpentRoundItsMembersAreAskedAgainAndNobodyElse) {
  SecureExperiment experiment;
  experiment.Add(true);
  experiment.AddSpent({"b", "c", "d"});
  experiment.Start();
  EXPECT_EQ(experiment.what, "demo/maml train 3.1");
  EXPECT_THAT(experiment.asked, ElementsAre("b", "c", "d"));
  EXPECT_THAT(experiment.notes,
              Contains(HasSubstr("round 3 asks exactly the 3 clients of the spent round before")));

  SecureExperiment afterwards;
  afterwards.AddSpent({"b", "c", "d"});
  afterwards.Add(true);
  afterwards.Start();
  EXPECT_THAT(afterwards.asked, ElementsAre("a", "b", "c", "d", "e")) << "the model has moved";
}

TEST(SecureExperimentTest, WhoIsNeededAfterASpentRoundDoesNotSitOut) {
  SecureExperiment experiment;
  experiment.AddSpent({"a", "b", "c"});
  experiment.Add(false, false, {"b"});
  experiment.Start();
  EXPECT_EQ(experiment.what, "demo/maml train 2.2");
  EXPECT_THAT(experiment.asked, ElementsAre("a", "b", "c"));
}

TEST(SecureExperimentTest, TheMembersOfASpentRoundAreWaitedForAndThenOthersAreAsked) {
  SecureExperiment experiment;
  experiment.AddSpent({"b", "c", "z"});
  experiment.Start();
  EXPECT_THAT(experiment.asked, ::testing::IsEmpty());
  experiment.PassJoinDeadline();
  EXPECT_THAT(experiment.notes, Contains(HasSubstr("z is not here (federation.join_deadline)")));
  EXPECT_THAT(experiment.asked, ElementsAre("a", "b", "c", "d", "e"));
}

TEST(SecureExperimentTest, ASpentRoundIsOneOfThoseThatSitesAgreedTo) {
  SecureExperiment experiment(2);
  experiment.Add(true);
  experiment.Start(experiment.Charged());
  EXPECT_EQ(experiment.what, "demo/maml evaluate 1.1") << "of the last state that there is";
}

TEST(SecureExperimentTest, ThreeSpentRoundsInSuccessionEndTheRun) {
  SecureExperiment experiment;
  experiment.Add(false, true);
  experiment.Add(false, true);
  experiment.Start(experiment.Charged());
  ASSERT_TRUE(experiment.finish);
  EXPECT_EQ(experiment.finish->summary.status, RunStatus::kFailed);
  EXPECT_EQ(experiment.finish->status.error().code(), ErrorCode::kFederationFailed);
  EXPECT_THAT(
      experiment.finish->status.error().message(),
      HasSubstr("3 rounds in succession were opened without a usable sum (the sum is lost)"));

  SecureExperiment between;
  between.Add(false, true);
  between.Add(false, true);
  between.Add(true);
  between.Start(between.Charged());
  EXPECT_FALSE(between.finish) << "they are not in succession";
}

TEST(SecureExperimentTest, AnOpeningThatDoesNotFollowFromTheJournalIsRefused) {
  SecureExperiment experiment;
  ChargedAttempt charged = experiment.Charged();
  experiment.Add(true);
  experiment.Start(std::move(charged));
  ASSERT_TRUE(experiment.finish);
  EXPECT_EQ(experiment.finish->status.error().code(), ErrorCode::kDataLoss);
  EXPECT_THAT(experiment.asked, ::testing::IsEmpty());
}

}  // namespace
}  // namespace fedmeta
