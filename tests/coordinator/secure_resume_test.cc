// Secure rounds whose coordinator ends in the middle: what was charged is opened by exactly those
// who were asked first, or spent; nothing is opened twice.
#include "secure_drive.h"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fedmeta/core/rng.h"
#include "fedmeta/protocol/phases.h"

namespace fedmeta {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

bool IsCharge(const Instruction& instruction) {
  const auto* persist = std::get_if<Persist>(&instruction);
  return persist != nullptr && persist->record == Record::kChargePrivacy;
}
bool IsUnmask(const Instruction& instruction) {
  const auto* work = std::get_if<RunWork>(&instruction);
  return work != nullptr && work->work == Work::kUnmask;
}
bool IsPhase(const Instruction& instruction, std::string_view phase) {
  const auto* step = std::get_if<SendPhase>(&instruction);
  return step != nullptr && step->phase == phase;
}

/// The sum is that of those who are said to have reported, to the last bit; no other session's
/// shares have left any client; nothing of it stays in the store.
void ExpectExact(SecureDrive& drive) {
  ASSERT_TRUE(drive.outcome.has_value());
  ASSERT_TRUE(drive.outcome->committed) << drive.outcome->reason;
  EXPECT_FALSE(drive.outcome->spent);
  const DecodedSum plain = drive.PlainSum(drive.outcome->reported);
  ASSERT_TRUE(drive.sum.has_value());
  EXPECT_EQ(drive.sum->contributors, plain.contributors);
  ASSERT_THAT(drive.sum->metrics, SizeIs(plain.metrics.size()));
  for (std::size_t i = 0; i < plain.metrics.size(); ++i)
    EXPECT_EQ(drive.sum->metrics[i].ToArray(), plain.metrics[i].ToArray());
  EXPECT_THAT(drive.opened, SizeIs(1));
  EXPECT_EQ(drive.BytesOfCharges(), 0U);
}

TEST(SecureResumeTest, WhatWasChargedIsOpenedByTheNextProcess) {
  // After the charge; after the clients have opened; after enough of that has come in.
  const std::function<bool(const Instruction&)> moments[] = {
      IsCharge, [](const Instruction& one) { return IsPhase(one, kOpenPhase); }, IsUnmask};
  for (const auto& moment : moments) {
    SecureDrive drive(5);
    bool once = false;
    drive.crash = [&](const Instruction& one) { return moment(one) && !std::exchange(once, true); };
    drive.Run();
    EXPECT_EQ(drive.crashes, 1U);
    ExpectExact(drive);
    EXPECT_THAT(drive.charged, ElementsAre("1"));
    EXPECT_THAT(drive.outcome->reported, SizeIs(5));
    EXPECT_EQ(drive.outcome->key.attempt, 2U) << "the same attempt";
    EXPECT_THAT(drive.outcome->cohort, SizeIs(5));
    ASSERT_THAT(drive.outcome->sessions, SizeIs(1));
    EXPECT_TRUE(drive.outcome->sessions[0].opened);
    EXPECT_GT(drive.outcome->bytes_up, 5 * 4 * SecureWords(drive.plan().message()));
  }
}

TEST(SecureResumeTest, BeforeTheChargeAnAttemptBeginsAnewWithTheUpdatesAtHand) {
  for (const std::string_view phase : {kAdvertisePhase, kSharePhase, kMaskPhase}) {
    SecureDrive drive(4);
    bool once = false;
    drive.crash = [&](const Instruction& one) {
      return IsPhase(one, phase) && !std::exchange(once, true);
    };
    drive.Run();
    ExpectExact(drive);
    EXPECT_EQ(drive.outcome->key.attempt, 4U) << phase;
    EXPECT_THAT(drive.charged, SizeIs(1));
  }
}

TEST(SecureResumeTest, SessionsThatCameToNothingBeforeItAreNotForgotten) {
  SecureDrive drive(5);
  drive.silent[std::string(kSharePhase)] = {"b"};
  bool once = false;
  drive.crash = [&](const Instruction& one) { return IsCharge(one) && !std::exchange(once, true); };
  drive.Run();
  ExpectExact(drive);
  ASSERT_THAT(drive.outcome->sessions, SizeIs(2));
  EXPECT_THAT(drive.outcome->sessions[0].missing, ElementsAre("b"));
  EXPECT_TRUE(drive.outcome->sessions[1].opened);
  ASSERT_THAT(drive.outcome->dropped, SizeIs(1));
  EXPECT_EQ(drive.outcome->dropped[0].client, "b");
}

TEST(SecureResumeTest, MembersThatStartedAnewCannotOpenAndTooManyOfThemSpendTheRound) {
  for (const std::size_t restarted : {1U, 2U}) {
    SecureDrive drive(5);  // 4 of 5 open it
    bool once = false;
    drive.crash = [&](const Instruction& one) {
      if (!IsCharge(one) || std::exchange(once, true)) return false;
      for (std::size_t i = 0; i < restarted; ++i)
        drive.Restart(ClientId(std::string(1, static_cast<char>('a' + i))));
      return true;
    };
    drive.Run();
    if (restarted == 1) {
      ExpectExact(drive);
      EXPECT_THAT(drive.outcome->reported, SizeIs(5));
      continue;
    }
    EXPECT_FALSE(drive.outcome->committed);
    EXPECT_TRUE(drive.outcome->spent);
    EXPECT_FALSE(drive.sum.has_value());
    EXPECT_THAT(drive.outcome->sessions[0].reason, HasSubstr("too few members can open the sum"));
    EXPECT_EQ(drive.BytesOfCharges(), 0U);
  }
}

TEST(SecureResumeTest, OfTwoGroupsOnlyTheChargedOneIsOpened) {
  SecureDrive drive(8, 4, 4);
  bool once = false;
  drive.crash = [&](const Instruction& one) { return IsCharge(one) && !std::exchange(once, true); };
  drive.Run();
  ExpectExact(drive);
  EXPECT_THAT(drive.outcome->reported, SizeIs(4));
  EXPECT_THAT(drive.outcome->dropped, SizeIs(4));
  ASSERT_THAT(drive.outcome->sessions, SizeIs(2));

  SecureDrive whole(8, 4, 8);  // which needs both
  once = false;
  whole.crash = [&](const Instruction& one) { return IsCharge(one) && !std::exchange(once, true); };
  whole.Run();
  EXPECT_TRUE(whole.outcome->spent);
  EXPECT_THAT(whole.opened, IsEmpty()) << "nobody was asked for what could not be used";
}

/// Losses, restarts and crashes at any moment.
class SecureSchedulesTest : public ::testing::TestWithParam<std::uint64_t> {};

TEST_P(SecureSchedulesTest, TheExactSumOfTheMembersIsOpenedOnceOrNothing) {
  constexpr std::uint64_t kSchedules = 1020, kParts = 4;
  int committed = 0, spent = 0, resumed = 0, again = 0, crashed = 0;
  for (std::uint64_t i = GetParam(); i < kSchedules; i += kParts) {
    const std::size_t clients = i < 20 ? 3 + 3 * i + i / 5 : 3 + i % 5;  // up to 63
    Rng rng({.seed = i, .purpose = "schedule"});
    SecureDrive drive(clients, 64);
    const double loss = rng.Uniform() < 0.3 ? 0 : 0.12 / static_cast<double>(clients);
    const double late = rng.Uniform() < 0.3 ? 0.4 : loss;  // while it is opened
    const double end = rng.Uniform() < 0.5 ? 0 : 0.04;     // of the coordinator
    std::size_t ends = 0;
    drive.on_reply = [&](PhaseReplied& reply) {
      if (rng.Uniform() >= (reply.phase == kOpenPhase ? late : loss)) return;
      const ClientId client = reply.client;
      if (rng.Uniform() < 0.5) reply.key.attempt = 99;  // it dies before its answer is out
      rng.Uniform() < 0.5 ? drive.Restart(client) : drive.Kill(client);
    };
    drive.crash = [&](const Instruction&) {
      const bool now = ends < 2 && rng.Uniform() < end;
      ends += now ? 1 : 0;
      return now;
    };
    drive.Run();
    ASSERT_TRUE(drive.outcome.has_value());
    const AttemptRecord& outcome = *drive.outcome;
    EXPECT_LE(drive.opened.size(), 1U) << "schedule " << i;
    EXPECT_LE(drive.charged.size(), 1U) << "schedule " << i;
    EXPECT_EQ(drive.BytesOfCharges(), 0U) << "schedule " << i;
    EXPECT_EQ(outcome.spent, !outcome.committed && !drive.charged.empty()) << "schedule " << i;
    if (outcome.committed) {
      ExpectExact(drive);
    } else {
      EXPECT_FALSE(drive.sum.has_value()) << "schedule " << i;
    }
    if (HasFailure()) FAIL() << "schedule " << i << " of " << clients;
    committed += outcome.committed ? 1 : 0;
    spent += outcome.spent ? 1 : 0;
    again += outcome.sessions.size() > 1 ? 1 : 0;
    crashed += drive.crashes > 0 ? 1 : 0;
    for (const std::string& line : drive.lines)
      resumed += line.starts_with("persist resume") ? 1 : 0;
  }
  // The schedules are worth something only if all of this happens.
  EXPECT_GT(committed, 100);
  EXPECT_GT(spent, 5);
  EXPECT_GT(again, 10);
  EXPECT_GT(crashed, 50);
  EXPECT_GT(resumed, 5);
}
INSTANTIATE_TEST_SUITE_P(Parts, SecureSchedulesTest, ::testing::Values(0, 1, 2, 3));

}  // namespace
}  // namespace fedmeta
