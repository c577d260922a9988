// What the audit chain says of secure sessions, of privacy and of those who were turned away.
#include "audit_fixture.h"
#include <gmock/gmock.h>

#include "fedmeta/v1/secure.pb.h"

namespace fedmeta {
namespace {

using testing::HasSubstr;

const std::vector<std::string> kSites = {"site-1", "site-2", "site-3"};

class AuditOpeningsTest : public AuditTest {
 protected:
  AuditOpeningsTest() {
    EXPECT_TRUE(log_->Started(Heart(/*secure=*/true, /*charges=*/true), true).ok());
  }
  static SessionCharge Session(std::uint64_t round, std::uint32_t session = 1,
                               const std::vector<std::string>& members = kSites,
                               std::size_t receipts = 3) {
    v1::SessionSnapshot snapshot;
    for (const std::string& member : members) {
      v1::AdvertisementBody body;
      body.set_identity("spiffe://heart/client/" + member);
      snapshot.mutable_roster()->add_members()->mutable_statement()->set_body(
          body.SerializeAsString());
    }
    for (std::size_t i = 0; i < receipts; ++i)
      snapshot.add_receipts()->set_body("receipt " + std::to_string(i));
    SessionCharge charge{
        .key = Round(round).key, .group = session - 1, .snapshot = snapshot.SerializeAsString()};
    charge.key.session = session;
    return charge;
  }
  static PrivacyCost Cost(double epsilon) { return {.epsilon = epsilon, .delta = 1e-5}; }
  /// Committed, with what its sessions came to.
  static AttemptRecord Outcome(std::uint64_t round, bool opened = true) {
    AttemptRecord record = Round(round);
    record.sessions.push_back({.session = 1, .group = 0, .members = kSites, .opened = opened});
    return record;
  }
  void Open(std::uint64_t round, double epsilon) {
    ASSERT_TRUE(log_->Opening(Plan(round), Session(round), Cost(epsilon)).ok());
  }
  void Close(const AttemptRecord& record) {
    ASSERT_TRUE(log_->AttemptEnded(record, Digest::Of("plan")).ok());
  }
  std::string Bad() { return Verify().bad.value_or("nothing"); }
};

TEST_F(AuditOpeningsTest, EachSumIsChargedAndOpenedBeforeItCounts) {
  for (std::uint64_t round = 1; round <= 3; ++round) {
    Open(round, static_cast<double>(round));
    Close(Outcome(round));
  }
  const AuditFindings findings = Verify();
  EXPECT_EQ(Bad(), "nothing");
  EXPECT_EQ(findings.openings, 3U);
  EXPECT_EQ(findings.charges, 3U);
  EXPECT_EQ(findings.epsilon, 3);
  EXPECT_EQ(findings.recovered, 0U);
  const nlohmann::json opening = nlohmann::json::parse(Lines()[LineOf("opening")]);
  EXPECT_EQ(opening["members"], kSites);
  EXPECT_EQ(opening["session"].get<std::string>().size(), 64U);
  EXPECT_EQ(opening["receipts"].size(), 3U);
}

TEST_F(AuditOpeningsTest, ASessionIsKnownByAllThatItsMembersAdvertised) {
  Open(1, 1);
  ASSERT_TRUE(log_->Opening(Plan(2), Session(2), Cost(2)).ok());
  const auto session = [&](std::size_t line) {
    return nlohmann::json::parse(Lines()[line])["session"].get<std::string>();
  };
  EXPECT_NE(session(LineOf("opening")), session(Lines().size() - 1));
}

TEST_F(AuditOpeningsTest, ACommitWithoutAnOpeningIsNamed) {
  ASSERT_TRUE(log_->AttemptEnded(Round(1), Digest::Of("plan"), Cost(1)).ok());
  EXPECT_THAT(Bad(), HasSubstr("(commit) counts heart/maml train 1.1, of which no sum was opened"));
}

TEST_F(AuditOpeningsTest, ACommitOfASumThatWasNotOpenedIsNamed) {
  Open(1, 1);
  Close(Outcome(1, /*opened=*/false));
  EXPECT_THAT(Bad(), HasSubstr("of which no sum was opened"));
}

TEST_F(AuditOpeningsTest, AClientThatWasInNoSumIsNamed) {
  Open(1, 1);
  AttemptRecord record = Outcome(1);
  record.reported.emplace_back("site-9");
  Close(record);
  EXPECT_THAT(Bad(), HasSubstr("counts site-9, which was in no opened sum"));
}

TEST_F(AuditOpeningsTest, AnOpeningWithoutItsChargeIsNamed) {
  ASSERT_TRUE(log_->Opening(Plan(1), Session(1), {}).ok());
  EXPECT_THAT(Bad(), HasSubstr("(opening) opens heart/maml train 1.1.1 without its charge"));
}

TEST_F(AuditOpeningsTest, AnEvaluationIsOpenedWithoutACharge) {
  SessionCharge session = Session(1);
  session.key.purpose = Purpose::kEvaluate;
  v1::RoundPlan plan = Plan(1).message();
  plan.mutable_key()->set_purpose(v1::PURPOSE_EVALUATE);
  plan.mutable_evaluate()->add_shots(1);
  plan.mutable_evaluate()->add_steps(1);
  plan.mutable_evaluate()->add_learning_rates(1);
  plan.mutable_evaluate()->set_part(v1::PART_VALIDATION);
  plan.mutable_evaluate()->set_episodes(1);
  const auto parsed = RoundPlan::Create(plan);
  ASSERT_TRUE(parsed.ok()) << parsed.error().message();
  ASSERT_TRUE(log_->Opening(*parsed, session, {}).ok());
  AttemptRecord record = Outcome(1);
  record.key.purpose = Purpose::kEvaluate;
  Close(record);
  EXPECT_EQ(Bad(), "nothing");
}

TEST_F(AuditOpeningsTest, ASessionWithoutEveryReceiptIsNamed) {
  ASSERT_TRUE(log_->Opening(Plan(1), Session(1, 1, kSites, 2), Cost(1)).ok());
  EXPECT_THAT(Bad(), HasSubstr("without a receipt of every member"));
}

TEST_F(AuditOpeningsTest, AMemberOfTwoSumsOfOneAttemptIsNamed) {
  Open(1, 1);
  ASSERT_TRUE(log_->Opening(Plan(1), Session(1, 2, {"site-3", "site-4", "site-5"}), Cost(1)).ok());
  EXPECT_THAT(Bad(), HasSubstr("asks site-3 to open two sums of heart/maml train 1.1"));
}

TEST_F(AuditOpeningsTest, GroupsOfOneAttemptAreChargedOnce) {
  Open(1, 1);
  ASSERT_TRUE(log_->Opening(Plan(1), Session(1, 2, {"site-4", "site-5", "site-6"}), Cost(1)).ok());
  EXPECT_EQ(Bad(), "nothing");
  EXPECT_EQ(Verify().charges, 1U);
  EXPECT_EQ(Verify().openings, 2U);
}

TEST_F(AuditOpeningsTest, ALedgerThatGoesBackIsNamed) {
  Open(1, 2);
  Open(2, 1);
  EXPECT_THAT(Bad(), HasSubstr("(charge) says that less is spent than was before"));
}

TEST_F(AuditOpeningsTest, ARoundOfACentralAccountNeedsItsCharge) {
  ASSERT_TRUE(log_->Started(Heart(/*secure=*/false, /*charges=*/true), true).ok());
  ASSERT_TRUE(log_->AttemptEnded(Round(1), Digest::Of("plan"), Cost(1)).ok());
  EXPECT_EQ(Bad(), "nothing");
  Commit(2);
  EXPECT_THAT(Bad(), HasSubstr("commits heart/maml train 2.1 without its charge"));
}

TEST_F(AuditOpeningsTest, WhatTheStoreHasBeyondTheRecordIsAddedAndSaidToBe) {
  Open(1, 1);
  Close(Outcome(1));
  log_ = AuditTest::Open();
  OpenedRun run;
  run.history = HistoryOf({Outcome(1), Outcome(2)});
  ChargedAttempt interrupted{.plan = Plan(3), .attempt = {}, .groups = {}};
  interrupted.groups.push_back(
      {.group = 0, .session = 1, .snapshot = Session(3).snapshot, .masked_sum = {}});
  run.interrupted = interrupted;
  std::vector<PrivacyCharge> charges;
  for (std::uint64_t round = 1; round <= 3; ++round) {
    charges.push_back({.session = Session(round).key,
                       .epsilon = static_cast<double>(round),
                       .delta = 1e-5,
                       .masked_sum = {},
                       .receipts = {}});
  }
  ASSERT_TRUE(log_->Reconcile(run, charges).ok());
  const std::size_t lines = Lines().size();
  ASSERT_TRUE(log_->Reconcile(run, charges).ok());
  EXPECT_EQ(Lines().size(), lines) << "once";
  const AuditFindings findings = Verify();
  EXPECT_EQ(findings.bad.value_or("nothing"), "nothing");
  EXPECT_EQ(findings.commits, 2U);
  EXPECT_EQ(findings.openings, 3U);
  EXPECT_EQ(findings.charges, 3U);
  EXPECT_GT(findings.recovered, 0U);
  // The resumed session is asked again, and is the same one.
  ASSERT_TRUE(log_->Opening(Plan(3), Session(3), Cost(3)).ok());
  Close(Outcome(3));
  EXPECT_EQ(Bad(), "nothing");
}

TEST_F(AuditOpeningsTest, WhatSitesWereChargedBeforeARestoreCountsOnce) {
  Open(1, 1);
  Close(Outcome(1));
  const ClientId one("site-1"), two("site-2");
  const auto charge = [](std::uint64_t epoch, std::uint64_t round) {
    return ToldCharge{epoch, Round(round).key};
  };
  EXPECT_EQ(log_->Told(one, {charge(1, 2)}).value(), 0U)
      << "never restored: its store is the truth";
  log_ = AuditTest::Open(2);
  ASSERT_TRUE(log_->Started(Heart(true, true), true).ok());
  EXPECT_EQ(log_->Told(one, {charge(1, 1)}).value(), 0U) << "the backup has it";
  EXPECT_EQ(log_->Told(one, {charge(1, 1), charge(1, 2), charge(1, 3)}).value(), 2U);
  EXPECT_EQ(log_->Told(two, {charge(1, 3), charge(1, 4)}).value(), 1U);
  EXPECT_EQ(log_->Told(two, {charge(2, 5)}).value(), 0U) << "since then the store knows";
  // The round of the same name is another release; what was told stays told.
  Open(2, 5);
  log_ = AuditTest::Open(2);
  EXPECT_EQ(log_->ToldReleases("heart"), 3U);
  EXPECT_EQ(log_->ToldReleases("lungs"), 0U);
  EXPECT_EQ(log_->Told(one, {charge(1, 2), charge(1, 3)}).value(), 0U);
  log_ = AuditTest::Open(3);
  EXPECT_EQ(log_->Told(one, {charge(2, 2), charge(2, 3)}).value(), 1U) << "of a second restore";
  EXPECT_EQ(Verify().told, 4U);
  EXPECT_EQ(Bad(), "nothing");
}

TEST_F(AuditOpeningsTest, WhoIsTurnedAwayIsCountedInFewEntries) {
  for (int i = 0; i < 5000; ++i)
    ASSERT_TRUE(log_->TurnedAway("spiffe://heart/client/eve is revoked").ok());
  std::vector<std::uint64_t> times;
  for (const std::string& line : Lines()) {
    const nlohmann::json entry = nlohmann::json::parse(line);
    if (entry["kind"] == "turned_away") times.push_back(entry["times"]);
  }
  EXPECT_EQ(times, (std::vector<std::uint64_t>{1, 10, 100, 1000}));
  ASSERT_TRUE(log_->Ended("completed", {}).ok());
  EXPECT_EQ(nlohmann::json::parse(Lines()[Lines().size() - 3])["times"], 5000);
  EXPECT_EQ(Verify().turned_away, 1U);
}

TEST_F(AuditOpeningsTest, ManyDifferentOnesDoNotGrowTheRecordWithoutBound) {
  for (int i = 0; i < 3000; ++i)
    ASSERT_TRUE(log_->TurnedAway("spiffe://heart/client/eve-" + std::to_string(i)).ok());
  EXPECT_LT(Lines().size(), AuditLog::kMaximumTurnedAway + 16);
}

TEST_F(AuditOpeningsTest, TheEndSaysWhoHasNotCountersignedIt) {
  const auto witness = Witness();
  ASSERT_TRUE(Meet(*witness).ok());
  const std::vector<ClientId> present = {ClientId("site-1"), ClientId("site-2")};
  ASSERT_TRUE(log_->Ended("completed", present).ok());
  EXPECT_EQ(log_->Uncountersigned(present), present) << "what came before is not the end";
  EXPECT_EQ(Verify().end_unseen_by, (std::vector<std::string>{"site-1", "site-2"}));
  ASSERT_TRUE(Meet(*witness).ok());
  EXPECT_EQ(log_->Uncountersigned(present), std::vector<ClientId>{ClientId("site-2")});
  EXPECT_EQ(Verify().end_unseen_by, std::vector<std::string>{"site-2"});
}

}  // namespace
}  // namespace fedmeta
