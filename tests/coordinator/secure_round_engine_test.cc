#include "fedmeta/coordinator/secure_round_engine.h"

#include "secure_drive.h"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fedmeta/protocol/phases.h"
#include "fedmeta/v1/secure.pb.h"

namespace fedmeta {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

/// 1 + 2 + ... over these clients.
double Losses(const std::string& clients) {
  double sum = 0;
  for (const char client : clients) sum += client - 'a' + 1;
  return sum;
}

void ExpectOpened(const SecureDrive& drive, const std::string& clients) {
  ASSERT_TRUE(drive.outcome.has_value());
  EXPECT_TRUE(drive.outcome->committed) << drive.outcome->reason;
  EXPECT_FALSE(drive.outcome->spent);
  ASSERT_THAT(drive.outcome->reported, SizeIs(clients.size()));
  EXPECT_EQ(drive.sum->contributors, clients.size());
  EXPECT_NEAR(drive.sum->metrics[0].mean_loss, Losses(clients), 1e-3);
  EXPECT_NEAR(drive.sum->metrics[0].clients, static_cast<double>(clients.size()), 1e-6);
}

TEST(SecureRoundEngineTest, OpensTheSumOfAll) {
  SecureDrive drive(5);
  drive.Run();
  ExpectOpened(drive, "abcde");
  EXPECT_THAT(drive.charged, ElementsAre("1"));
}

TEST(SecureRoundEngineTest, ASilentClientCostsASessionOnceTheMembersAreFixed) {
  for (const std::string_view phase : {kSharePhase, kMaskPhase}) {
    SecureDrive drive(5);
    drive.silent[std::string(phase)] = {"b"};
    drive.Run();
    ExpectOpened(drive, "acde");
    ASSERT_THAT(drive.outcome->sessions, SizeIs(2)) << phase;
    EXPECT_FALSE(drive.outcome->sessions[0].opened);
    EXPECT_EQ(drive.outcome->sessions[0].phase, phase);
    EXPECT_THAT(drive.outcome->sessions[0].missing, ElementsAre("b"));
    EXPECT_THAT(drive.outcome->sessions[1].members, ElementsAre("a", "c", "d", "e"));
    EXPECT_THAT(drive.charged, ElementsAre("2")) << "the first session opened nothing";
    ASSERT_THAT(drive.outcome->dropped, SizeIs(1));
    EXPECT_EQ(drive.outcome->dropped[0].client, "b");
  }
}

TEST(SecureRoundEngineTest, ASilentClientCostsNoSessionBeforeTheMembersAreFixed) {
  for (const std::string_view phase : {kTrainedPhase, kAdvertisePhase}) {
    SecureDrive drive(5);
    drive.silent[std::string(phase)] = {"e"};
    drive.Run();
    ExpectOpened(drive, "abcd");
    EXPECT_THAT(drive.outcome->sessions, SizeIs(1));
  }
}

TEST(SecureRoundEngineTest, AFewMayBeLostWhileItIsOpened) {
  SecureDrive drive(5);  // 4 of 5 open it
  drive.silent[std::string(kOpenPhase)] = {"c"};
  drive.Run();
  ExpectOpened(drive, "abcde");
}

TEST(SecureRoundEngineTest, GroupsThatAreGivenAreTheGroups) {
  const auto members = [](const std::string& names) {
    std::vector<ClientId> clients;
    for (const char name : names) clients.emplace_back(std::string(1, name));
    return clients;
  };
  SecureDrive drive(7);
  drive.groups = {members("aceg"), members("bdf")};
  drive.Run();
  ExpectOpened(drive, "abcdefg");
  ASSERT_THAT(drive.outcome->sessions, SizeIs(2));
  EXPECT_THAT(drive.outcome->sessions[0].members, ElementsAre("a", "c", "e", "g"));
  EXPECT_THAT(drive.outcome->sessions[1].members, ElementsAre("b", "d", "f"));

  SecureDrive without(5, 16, 5);
  without.groups = {members("abcde")};
  without.silent[std::string(kSharePhase)] = {"b"};
  without.Run();
  EXPECT_FALSE(without.outcome->committed);
  EXPECT_FALSE(without.outcome->spent);
  EXPECT_THAT(without.charged, IsEmpty());
}

TEST(SecureRoundEngineTest, IsSpentWhenTooFewOpen) {
  SecureDrive drive(5);
  drive.silent[std::string(kOpenPhase)] = {"c", "d"};
  drive.Run();
  EXPECT_FALSE(drive.outcome->committed);
  EXPECT_TRUE(drive.outcome->spent);
  EXPECT_FALSE(drive.sum.has_value());
  EXPECT_THAT(drive.outcome->sessions[0].missing, ElementsAre("c", "d"));
}

TEST(SecureRoundEngineTest, IsNotSpentWhenNothingWasOpened) {
  SecureDrive drive(4);
  drive.silent[std::string(kMaskPhase)] = {"a", "b"};
  drive.Run();
  EXPECT_FALSE(drive.outcome->committed);
  EXPECT_FALSE(drive.outcome->spent);
  EXPECT_THAT(drive.charged, IsEmpty());
  EXPECT_THAT(drive.outcome->reason, HasSubstr("2 clients left for a secure sum"));
}

TEST(SecureRoundEngineTest, GivesUpAfterTheSessionsItMayTry) {
  SecureDrive drive(6);
  int session = 0;
  drive.on_instruction = [&](const Instruction& instruction) {
    const auto* step = std::get_if<SendPhase>(&instruction);
    if (step == nullptr || step->phase != kAdvertisePhase) return;
    drive.silent[std::string(kSharePhase)] = {std::string(1, char('a' + session++))};
  };
  drive.Run();
  EXPECT_FALSE(drive.outcome->committed);
  EXPECT_THAT(drive.outcome->sessions, SizeIs(3));
  EXPECT_THAT(drive.outcome->reason, HasSubstr("3 sessions of secure aggregation"));
}

TEST(SecureRoundEngineTest, DropsAClientWhoseMessageDoesNotHold) {
  SecureDrive drive(5);
  drive.on_reply = [](PhaseReplied& reply) {
    if (reply.client.value() == "d" && reply.phase == kSharePhase) reply.body += "x";
  };
  drive.Run();
  ExpectOpened(drive, "abce");
  EXPECT_EQ(drive.outcome->dropped[0].client, "d");
}

TEST(SecureRoundEngineTest, OfAShareThatCannotBeOpenedBothEndsAreOut) {
  SecureDrive drive(5);
  std::vector<std::string> complained;
  drive.on_reply = [&](PhaseReplied& reply) {
    if (reply.phase == kComplaintPhase) complained.push_back(reply.client.value());
    if (reply.client.value() != "b" || reply.phase != kSharePhase) return;
    v1::Shares shares;
    ASSERT_TRUE(shares.ParseFromString(reply.body));
    shares.mutable_sealed(3)->back() ^= 1;  // for d
    reply.body = shares.SerializeAsString();
  };
  drive.Run();
  EXPECT_THAT(complained, ElementsAre("d"));
  ExpectOpened(drive, "ace");
  ASSERT_THAT(drive.outcome->sessions, SizeIs(2));
  EXPECT_EQ(drive.outcome->sessions[0].phase, kDisputed);
  EXPECT_THAT(drive.outcome->sessions[0].missing, ElementsAre("d", "b"));
  EXPECT_THAT(drive.outcome->sessions[0].reason, HasSubstr("one of the two is at fault"));
  EXPECT_THAT(drive.charged, ElementsAre("2"));
  ASSERT_THAT(drive.outcome->dropped, SizeIs(2));
}

TEST(SecureRoundEngineTest, AClientsFailureInAnEarlierSessionIsNoneInThisOne) {
  SecureDrive drive(5);
  drive.silent[std::string(kSharePhase)] = {"b"};
  drive.on_instruction = [&](const Instruction& instruction) {
    const auto* step = std::get_if<SendPhase>(&instruction);
    if (step == nullptr || step->key.session != 2 || step->phase != kMaskPhase) return;
    RoundKey before = step->key;
    before.session = 1;
    drive.Give(ClientFailed{before, ClientId("a"), "secure share", "too late"});
  };
  drive.Run();
  ExpectOpened(drive, "acde");
}

TEST(SecureRoundEngineTest, DealsOutGroupsThatAreOpenedTogetherOrNotAtAll) {
  SecureDrive drive(7, 5, 6);
  drive.Run();
  ExpectOpened(drive, "abcdefg");
  ASSERT_THAT(drive.outcome->sessions, SizeIs(2));
  EXPECT_THAT(drive.outcome->sessions[0].members, ElementsAre("a", "b", "c"));
  EXPECT_THAT(drive.outcome->sessions[1].members, ElementsAre("d", "e", "f", "g"));

  SecureDrive broken(7, 5, 6);
  broken.silent[std::string(kMaskPhase)] = {"a"};
  broken.Run();
  EXPECT_FALSE(broken.outcome->committed);
  EXPECT_THAT(broken.charged, IsEmpty()) << "four of the others would have been opened in vain";
  EXPECT_FALSE(broken.outcome->spent);
}

TEST(SecureRoundEngineTest, AClientThatStartsAnewInASessionIsLeftOut) {
  SecureDrive drive(5);
  bool once = false;
  drive.on_instruction = [&](const Instruction& instruction) {
    if (!std::holds_alternative<ExpectUploads>(instruction) || std::exchange(once, true)) return;
    drive.Give(ClientJoined{ClientId("b"), v1::ROLE_TRAIN});
  };
  drive.Run();
  ExpectOpened(drive, "acde");
}

TEST(SecureRoundEngineTest, CancellingBeforeTheChargeOpensNothing) {
  SecureDrive drive(5);
  drive.on_instruction = [&](const Instruction& instruction) {
    if (std::holds_alternative<ExpectUploads>(instruction)) drive.Give(CancelAsked{"stop", true});
  };
  drive.Run();
  EXPECT_FALSE(drive.outcome->committed);
  EXPECT_FALSE(drive.outcome->spent);
  EXPECT_THAT(drive.charged, IsEmpty());
}

TEST(SecureRoundEngineTest, CancellingAfterTheChargeWaitsForTheOpening) {
  SecureDrive drive(5);
  drive.on_instruction = [&](const Instruction& instruction) {
    const auto* persist = std::get_if<Persist>(&instruction);
    if (persist != nullptr && persist->charge) drive.Give(CancelAsked{"stop", true});
  };
  drive.Run();
  ExpectOpened(drive, "abcde");
}

}  // namespace
}  // namespace fedmeta
