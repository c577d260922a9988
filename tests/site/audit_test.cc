// The audit chain from both ends: the coordinator's log and its verifier, a site's witness.
#include "audit_fixture.h"
#include <gmock/gmock.h>

namespace fedmeta {
namespace {

using testing::HasSubstr;

TEST_F(AuditTest, IsWholeSignedAndCountersigned) {
  const auto witness = Witness();
  for (std::uint64_t round = 1; round <= 3; ++round) {
    Commit(round);
    ASSERT_TRUE(Meet(*witness).ok());
  }
  const AuditFindings findings = Verify();
  EXPECT_FALSE(findings.bad) << *findings.bad;
  EXPECT_EQ(findings.entries, Lines().size());
  EXPECT_EQ(findings.commits, 3U);
  EXPECT_EQ(findings.visible, "individual updates visible");
  EXPECT_GT(findings.signed_to, 0U);
  ASSERT_EQ(findings.countersigned.size(), 1U);
  EXPECT_EQ(findings.countersigned.at("spiffe://heart/client/site-1"), findings.signed_to);
}

TEST_F(AuditTest, GoesOnAfterARestartAndATornLine) {
  Commit(1);
  const std::size_t before = Lines().size();
  log_.reset();
  ASSERT_TRUE(AppendFile(file_, "{\"n\":").ok());
  log_ = Open();
  EXPECT_EQ(Lines().size(), before);
  ASSERT_TRUE(log_->Started(Heart(), true).ok());
  Commit(2);
  EXPECT_FALSE(Verify().bad);
}

TEST_F(AuditTest, CommitsThatTheProcessDidNotLiveToRecordAreAdded) {
  Commit(1);
  log_ = Open();
  OpenedRun run;
  run.history = HistoryOf({Round(1), Round(2)});
  ASSERT_TRUE(log_->Reconcile(run, {}).ok());
  EXPECT_EQ(Verify().commits, 2U);
  EXPECT_THAT(Lines().back(), HasSubstr("\"recovered\":true"));
}

TEST_F(AuditTest, AFlippedByteIsNamed) {
  Commit(1);
  auto lines = Lines();
  const std::size_t at = LineOf("commit");
  Replace(lines[at], "site-2", "site-3");
  Write(lines);
  EXPECT_THAT(*Verify().bad, HasSubstr("entry " + std::to_string(at + 1) + " does not follow"));
  EXPECT_EQ(Verify().entries, at);
  EXPECT_FALSE(AuditLog::Open({.file = file_}, *coordinator_, clock_).ok()) << "nothing goes on";
}

TEST_F(AuditTest, ADeletedEntryIsNamed) {
  Commit(1);
  auto lines = Lines();
  const std::size_t at = LineOf("commit");
  lines.erase(lines.begin() + static_cast<std::ptrdiff_t>(at));
  Write(lines);
  EXPECT_THAT(*Verify().bad, HasSubstr("entry " + std::to_string(at + 1) + " is numbered"));
}

TEST_F(AuditTest, ReorderedEntriesAreNamed) {
  Commit(1);
  auto lines = Lines();
  std::swap(lines[1], lines[2]);
  Write(lines);
  EXPECT_THAT(*Verify().bad, HasSubstr("entry 2"));
}

TEST_F(AuditTest, ACutOffEndIsSeenByTheSitesOnly) {
  const auto witness = Witness();
  Commit(1);
  Commit(2);
  ASSERT_TRUE(Meet(*witness).ok());
  auto lines = Lines();
  lines.resize(LineOf("commit"));
  Write(lines);
  EXPECT_FALSE(Verify().bad) << "whole up to there: the file alone cannot say more";
  log_ = Open();
  ASSERT_TRUE(log_->Started(Heart(), true).ok());
  const Status met = Meet(*witness);
  ASSERT_FALSE(met.ok());
  EXPECT_EQ(met.error().code(), ErrorCode::kPermissionDenied);
  EXPECT_THAT(met.error().message(), HasSubstr("older than what this site has seen"));
}

TEST_F(AuditTest, ARecordRewrittenWithTheCoordinatorsKeyContradictsTheCountersignatures) {
  const auto witness = Witness();
  Commit(1);
  ASSERT_TRUE(Meet(*witness).ok());
  const auto change = [](std::string& line) { Replace(line, "site-2", "site-3"); };
  Rewrite(change);
  EXPECT_THAT(*Verify().bad, HasSubstr("(countersigned) signs a place that is not of this chain"));
}

TEST_F(AuditTest, ARecordRewrittenWithoutCountersignaturesIsRefusedByTheSite) {
  const auto witness = Witness();
  Commit(1);
  ASSERT_TRUE(Meet(*witness).ok());
  auto lines = Lines();
  lines.resize(LineOf("countersigned") - 1);  // and the site's certificate
  Write(lines);
  Rewrite([](std::string& line) { Replace(line, "site-2", "site-3"); });
  EXPECT_FALSE(Verify().bad);
  EXPECT_TRUE(Verify().countersigned.empty());
  log_ = Open();
  for (std::uint64_t round = 2; round < 6; ++round) Commit(round);
  EXPECT_THAT(Meet(*witness).error().message(), HasSubstr("was rewritten"));
}

TEST_F(AuditTest, ASignatureThatIsNoneIsNamed) {
  Commit(1);
  const auto forged = [&](std::string& line) {
    if (line.find("\"kind\":\"head\"") != std::string::npos) return;
  };
  coordinator_ = Identity("coordinator", "other", IdentityRole::kCoordinator);
  Rewrite(forged);
  EXPECT_THAT(*Verify().bad, HasSubstr("(head) is not signed as it says"));
}

TEST_F(AuditTest, OfAnotherFederationNothingIsProven) {
  Commit(1);
  Authority("heart", "other");
  const auto findings = VerifyAudit(file_, ReadFile(folder_ / "other/authority.pem").value());
  EXPECT_THAT(*findings->bad, HasSubstr("(head) is not signed as it says"));
}

TEST_F(AuditTest, ARoundIsCommittedOnce) {
  Commit(1);
  Commit(1);
  EXPECT_THAT(*Verify().bad, HasSubstr("a second time"));
}

TEST_F(AuditTest, TheSiteFollowsFromWhereItIs) {
  auto witness = Witness();
  Commit(1);
  ASSERT_TRUE(Meet(*witness).ok());
  for (std::uint64_t round = 2; round < 20; ++round) Commit(round);
  witness = Witness();  // restarted
  ASSERT_TRUE(Meet(*witness).ok());
  EXPECT_EQ(log_->HeadFor(ClientId("site-1")), "") << "nothing new";
}

TEST_F(AuditTest, CountersignaturesOfOthersAreRefused) {
  const auto witness = Witness();
  Commit(1);
  ASSERT_TRUE(witness->Take(log_->HeadFor(ClientId("site-1"))).ok());
  const std::string countersignature = witness->TakeCountersignature();
  EXPECT_EQ(log_->Countersigned(ClientId("site-2"), countersignature).error().code(),
            ErrorCode::kPermissionDenied);
  EXPECT_FALSE(log_->Countersigned(ClientId("site-1"), "nonsense").ok());
  std::string flipped = countersignature;
  flipped[10] = static_cast<char>(flipped[10] ^ 1);
  EXPECT_FALSE(log_->Countersigned(ClientId("site-1"), flipped).ok());
}

class RollbackTest : public AuditTest {
 protected:
  v1::Welcome Welcome(const std::string& epoch) {
    v1::Welcome welcome;
    welcome.set_epoch(epoch);
    return welcome;
  }
};

TEST_F(RollbackTest, ARoundInWhichTheSiteWasCountedIsNotTrainedAgain) {
  ASSERT_TRUE(Witness()->Counted(Round(7).key).ok());
  const auto witness = Witness();  // restarted
  EXPECT_EQ(witness->Check(Plan(7)).error().code(), ErrorCode::kPermissionDenied);
  EXPECT_FALSE(witness->Check(Plan(3)).ok());
  EXPECT_TRUE(witness->Check(Plan(8)).ok());
}

TEST_F(RollbackTest, AHigherEpochOfTheAuthorityLetsARestoredCoordinatorGoOn) {
  const auto witness = Witness();
  Commit(1);
  Commit(2);
  ASSERT_TRUE(Meet(*witness).ok());
  ASSERT_TRUE(witness->Counted(Round(2).key).ok());
  auto lines = Lines();
  lines.resize(LineOf("commit"));
  Write(lines);
  log_ = Open(2);
  ASSERT_TRUE(log_->Started(Heart(), true).ok());
  ASSERT_FALSE(Meet(*witness).ok());
  // As it joins: with the old place, before it hears of the epoch.
  log_->Seen(ClientId("site-1"), witness->place());
  ASSERT_TRUE(witness->Joined(Welcome(SignedEpoch(2))).ok());
  for (std::uint64_t round = 1; round <= 3; ++round) {
    Commit(round);
    const std::string head = log_->HeadFor(ClientId("site-1"));
    const Status taken = witness->Take(head);
    ASSERT_TRUE(taken.ok()) << taken.error().message();
    ASSERT_TRUE(log_->Countersigned(ClientId("site-1"), witness->TakeCountersignature()).ok());
  }
  EXPECT_TRUE(witness->Check(Plan(2)).ok());
  EXPECT_FALSE(Witness()->Joined(Welcome("")).ok()) << "nor the old one any more";
}

TEST_F(RollbackTest, AnEpochOfNobodysOrOfAnotherIsRefused) {
  const auto witness = Witness();
  Authority("heart", "other");
  EXPECT_THAT(witness->Joined(Welcome(SignedEpoch(2, "other"))).error().message(),
              HasSubstr("not made by the authority"));
  EXPECT_FALSE(witness->Joined(Welcome("nonsense")).ok());
  ASSERT_TRUE(witness->Joined(Welcome(SignedEpoch(2))).ok());
  coordinator_ = Identity("coordinator", "other", IdentityRole::kCoordinator);
  log_ = Open(2);
  ASSERT_TRUE(log_->Started(Heart(), true).ok());
  EXPECT_THAT(Meet(*witness).error().message(), HasSubstr("the epoch is for"));
}

}  // namespace
}  // namespace fedmeta
