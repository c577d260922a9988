#include "fedmeta/coordinator/session_table.h"

#include "engine_harness.h"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fedmeta/coordinator/plan_factory.h"
#include "fedmeta/protocol/version.h"

namespace fedmeta {
namespace {

using ::testing::HasSubstr;

class SessionTableTest : public ::testing::Test {
 protected:
  using Answer = std::optional<Result<v1::Instruction>>;

  static v1::ClientHello Hello() {
    v1::ClientHello hello;
    *hello.mutable_version() = OwnVersion();
    (*hello.mutable_data())["numbers"] = v1::ROLE_TRAIN;
    return hello;
  }
  Result<SessionTable::Joined> Join(const std::string& client) {
    return table_.Join(ClientId(client), Hello(), now_);
  }
  std::shared_ptr<Answer> Next(const std::string& client, std::uint64_t session,
                               const std::optional<RoundKey>& seen = {}) {
    auto answer = std::make_shared<Answer>();
    v1::NextRequest request;
    request.set_session_id(session);
    if (seen) *request.mutable_seen() = ToMessage(*seen);
    table_.Next(ClientId(client), request, now_,
                [answer](auto result) { answer->emplace(std::move(result)); });
    return answer;
  }

  PlanFactory plans_{DemoExperiment(3, 3, 2), DemoLeg("maml")};
  RoundPlan plan_ = plans_.Train(1, 1, std::nullopt, Digest::Of("s")).value();
  std::vector<ClientId> a_ = {ClientId("a")};
  TimePoint now_{};
  SessionTable table_{
      {.data_name = "numbers", .maximum_sessions = 2, .lost_after = std::chrono::seconds(12)}};
};

TEST_F(SessionTableTest, TellsClientsHowOftenToBeHeard) {
  const auto joined = Join("a");
  ASSERT_TRUE(joined.ok());
  EXPECT_EQ(joined->welcome.heartbeat_ms(), 3000U);
  EXPECT_EQ(joined->welcome.poll_ms(), 4000U);
  EXPECT_FALSE(joined->known_before);
  EXPECT_EQ(joined->role, v1::ROLE_TRAIN);
}

TEST_F(SessionTableTest, RefusesOtherVersionsUnknownRolesAndTooManyClients) {
  v1::ClientHello hello = Hello();
  hello.mutable_version()->set_major(99);
  EXPECT_FALSE(table_.Join(ClientId("a"), hello, now_).ok());
  hello = Hello();
  (*hello.mutable_data())["numbers"] = v1::ROLE_UNSPECIFIED;
  EXPECT_EQ(table_.Join(ClientId("a"), hello, now_).error().code(), ErrorCode::kInvalidArgument);
  ASSERT_TRUE(Join("a").ok());
  ASSERT_TRUE(Join("b").ok());
  EXPECT_EQ(Join("c").error().code(), ErrorCode::kResourceExhausted);
}

TEST_F(SessionTableTest, ASecondProcessIsLetInOnceTheFirstIsSilent) {
  const std::uint64_t first = Join("a")->welcome.session_id();
  now_ += std::chrono::seconds(6);
  EXPECT_EQ(Join("a").error().code(), ErrorCode::kUnavailable);
  now_ += std::chrono::seconds(1);
  const auto second = Join("a");
  ASSERT_TRUE(second.ok());
  EXPECT_TRUE(second->known_before);
  const auto answer = Next("a", first);
  EXPECT_EQ((*answer)->error().code(), ErrorCode::kFailedPrecondition);
  EXPECT_THAT((*answer)->error().message(), HasSubstr("join first"));
}

TEST_F(SessionTableTest, ASecondProcessIsLetInOnceTheFirstIsGone) {
  const std::uint64_t first = Join("a")->welcome.session_id();
  table_.Gone(ClientId("a"));
  Next("a", first);  // it was only the line
  EXPECT_THAT(Join("a").error().message(), HasSubstr("another process joined as a"));
  table_.Gone(ClientId("a"));
  EXPECT_TRUE(Join("a").ok());
}

TEST_F(SessionTableTest, AHeldPollHearsThePlan) {
  const std::uint64_t session = Join("a")->welcome.session_id();
  const auto answer = Next("a", session);
  EXPECT_FALSE(*answer);
  table_.GivePlan(a_, plan_);
  ASSERT_TRUE(*answer);
  EXPECT_EQ((*answer)->value().plan(), plan_.bytes());
}

TEST_F(SessionTableTest, ALostAnswerIsGivenAgain) {
  const std::uint64_t session = Join("a")->welcome.session_id();
  table_.GivePlan(a_, plan_);
  EXPECT_TRUE(Next("a", session)->value().value().has_plan());
  EXPECT_TRUE(Next("a", session)->value().value().has_plan());  // it did not see the first
  EXPECT_FALSE(*Next("a", session, plan_.key()));
}

TEST_F(SessionTableTest, APlanThatWasAnsweredIsNotGivenAgain) {
  const std::uint64_t session = Join("a")->welcome.session_id();
  table_.GivePlan(a_, plan_);
  table_.Answered(ClientId("a"), plan_.key());
  EXPECT_FALSE(*Next("a", session));
}

TEST_F(SessionTableTest, APlanGivenAnewIsHeardByOneThatHasSeenIt) {
  const std::uint64_t session = Join("a")->welcome.session_id();
  table_.GivePlan(a_, plan_);
  Next("a", session);
  table_.GivePlan(a_, plan_);
  EXPECT_TRUE(*Next("a", session, plan_.key()));
}

TEST_F(SessionTableTest, APollIsAnsweredWithIdleInTheEnd) {
  const std::uint64_t session = Join("a")->welcome.session_id();
  const auto answer = Next("a", session);
  now_ += std::chrono::seconds(3);
  table_.Tick(now_);
  EXPECT_FALSE(*answer);
  now_ += std::chrono::seconds(1);
  table_.Tick(now_);
  ASSERT_TRUE(*answer);
  EXPECT_TRUE((*answer)->value().has_idle());
}

TEST_F(SessionTableTest, ANewerPollAnswersTheOlder) {
  const std::uint64_t session = Join("a")->welcome.session_id();
  const auto older = Next("a", session);
  const auto newer = Next("a", session);
  EXPECT_TRUE((*older)->value().has_idle());
  EXPECT_FALSE(*newer);
}

TEST_F(SessionTableTest, ASilentClientIsLostWithWhatItWasDoing) {
  ASSERT_TRUE(Join("a").ok());
  ASSERT_TRUE(Join("b").ok());
  ASSERT_TRUE(table_.Progress(ClientId("a"), "uploading").ok());
  now_ += std::chrono::seconds(11);
  table_.Heard(ClientId("b"), now_);
  EXPECT_TRUE(table_.Tick(now_).empty());
  now_ += std::chrono::seconds(1);
  const auto lost = table_.Tick(now_);
  ASSERT_EQ(lost.size(), 1U);
  EXPECT_EQ(lost[0].client, ClientId("a"));
  EXPECT_EQ(lost[0].phase, "uploading");
  EXPECT_EQ(table_.Progress(ClientId("a"), "x").error().code(), ErrorCode::kFailedPrecondition);
}

TEST_F(SessionTableTest, InstructionsSayWhereThisClientWasCountedLast) {
  const std::uint64_t session = Join("a")->welcome.session_id();
  table_.GivePlan(a_, plan_);
  table_.Close(a_, plan_.key(), true, {});
  const auto answer = Next("a", session);
  ASSERT_TRUE((*answer)->value().has_closed());
  EXPECT_TRUE((*answer)->value().closed().counted());
  ASSERT_EQ((*answer)->value().last_counted_size(), 1);
  EXPECT_EQ((*answer)->value().last_counted(0).round(), 1U);
  EXPECT_FALSE(*Next("a", session));  // the plan is over
}

TEST_F(SessionTableTest, OnlyTheBlobsOfItsPlanMayBeDownloaded) {
  ASSERT_TRUE(Join("a").ok());
  EXPECT_FALSE(table_.MayDownload(ClientId("a"), plan_.state_hash()));
  table_.GivePlan(a_, plan_);
  EXPECT_TRUE(table_.MayDownload(ClientId("a"), plan_.state_hash()));
  EXPECT_TRUE(table_.MayDownload(ClientId("a"), plan_.assignment_hash()));
  EXPECT_FALSE(table_.MayDownload(ClientId("a"), Digest::Of("other")));
  EXPECT_FALSE(table_.MayDownload(ClientId("b"), plan_.state_hash()));
}

TEST_F(SessionTableTest, AStepIsHeardUntilItIsAnsweredOrTheAttemptIsOver) {
  const std::uint64_t session = Join("a")->welcome.session_id();
  v1::PhaseRequest step;
  RoundKey key = plan_.key();
  key.session = 3;
  *step.mutable_key() = ToMessage(key);
  step.set_phase("open");
  const auto hears = [&] {
    const auto answer = Next("a", session);
    return *answer && (*answer)->value().has_phase();
  };
  table_.GivePhase(a_, step);
  EXPECT_TRUE(hears());
  EXPECT_TRUE(hears());
  table_.AnsweredPhase(ClientId("a"), key, "mask");
  EXPECT_TRUE(hears());
  table_.AnsweredPhase(ClientId("a"), key, "open");
  EXPECT_FALSE(hears());
  // Also where the plan was given by a process before this one.
  table_.GivePhase(a_, step);
  table_.Close(a_, plan_.key(), false, "spent");
  EXPECT_TRUE((*Next("a", session))->value().has_closed());
  EXPECT_FALSE(hears());
}

TEST_F(SessionTableTest, EveryoneHearsTheFarewell) {
  const std::uint64_t a = Join("a")->welcome.session_id();
  const std::uint64_t b = Join("b")->welcome.session_id();
  const auto held = Next("a", a);
  v1::Closed closed;
  closed.set_all_done(true);
  table_.Farewell(closed);
  ASSERT_TRUE(*held);
  EXPECT_TRUE((*held)->value().closed().all_done());
  EXPECT_FALSE(table_.AllHeardFarewell());
  EXPECT_TRUE(Next("b", b)->value().value().closed().all_done());
  EXPECT_TRUE(table_.AllHeardFarewell());
}

}  // namespace
}  // namespace fedmeta
