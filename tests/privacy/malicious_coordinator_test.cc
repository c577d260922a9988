// A coordinator that lies, row by row of the trust table of docs/security.md. It relays all
// messages, sees and changes every byte of them, runs what sessions it likes, and has members of
// its own. In no row do a client's shares leave for anything but one sum of one fixed set.
#include "rogue_member.h"
#include "secure_fixture.h"
#include <gmock/gmock.h>

#include "fedmeta/tests/support/uniform_bytes.h"

namespace fedmeta {
namespace {

using ::testing::HasSubstr;

/// A victim, site-001, among honest sites; what it is told is the test's choice.
class MaliciousCoordinatorTest : public ::testing::Test {
 protected:
  explicit MaliciousCoordinatorTest(std::size_t sites = 4) : federation_(sites) {}

  SecureClient& victim() { return *federation_[0].client; }

  /// Honest advertisements of all, sorted, as parsed.
  v1::SessionRoster Roster(const SecureClient::Start& start) {
    v1::SessionRoster roster;
    for (SecureSite& site : federation_.sites())
      EXPECT_TRUE(roster.add_members()->ParseFromString(Must(site.client->Advertise(start))));
    return roster;
  }
  v1::SessionRoster Roster() { return Roster(SomeStart()); }
  /// R1 of the roster at all sites.
  std::vector<v1::Shares> Share(const v1::SessionRoster& roster) {
    std::vector<v1::Shares> shares;
    for (SecureSite& site : federation_.sites())
      EXPECT_TRUE(shares.emplace_back().ParseFromString(
          Must(site.client->Share(roster.SerializeAsString()))));
    return shares;
  }
  static v1::ShareDelivery Delivery(const std::vector<v1::Shares>& shares, std::size_t to) {
    v1::ShareDelivery delivery;
    for (std::size_t from = 0; from < shares.size(); ++from) {
      auto* entry = delivery.add_members();
      if (from == to) continue;
      *entry->mutable_hashes() = shares[from].hashes();
      entry->set_sealed(shares[from].sealed(static_cast<int>(to)));
    }
    return delivery;
  }
  v1::OpeningRequest Mask(const std::vector<v1::Shares>& shares) {
    v1::OpeningRequest request;
    for (std::size_t i = 0; i < federation_.size(); ++i)
      EXPECT_TRUE(request.add_receipts()->ParseFromString(MaskOne(shares, i)));
    return request;
  }
  std::string MaskOne(const std::vector<v1::Shares>& shares, std::size_t i) {
    return Must(federation_[i].client->Mask(Delivery(shares, i).SerializeAsString(),
                                            RingVector(RingBits::k32, 8)))
        .receipt;
  }
  v1::OpeningRequest UntilOpening(const SecureClient::Start& start) {
    return Mask(Share(Roster(start)));
  }

  std::string SharesRefusal(const v1::SessionRoster& roster) {
    return Said(victim().Share(roster.SerializeAsString()));
  }
  std::string MaskRefusal(const v1::ShareDelivery& delivery) {
    return Said(victim().Mask(delivery.SerializeAsString(), RingVector(RingBits::k32, 8)));
  }
  std::string OpenRefusal(const v1::OpeningRequest& request) {
    return Said(victim().Open(request.SerializeAsString()));
  }
  /// The session is erased: what was right a moment ago gets nothing any more.
  void ExpectErased(const v1::SessionRoster& roster) {
    EXPECT_THAT(SharesRefusal(roster), HasSubstr("there is no session at this client"));
  }

  SecureFederation federation_;
};

// ---- Two sessions

TEST_F(MaliciousCoordinatorTest, OneAdvertisementJoinsOneSession) {
  const v1::SessionRoster all = Roster();
  const auto shares = Share(all);
  v1::SessionRoster without = all;
  without.mutable_members()->RemoveLast();
  EXPECT_THAT(SharesRefusal(without), HasSubstr("asked twice, differently"));
  ExpectErased(all);
  EXPECT_THAT(MaskRefusal(Delivery(shares, 0)), HasSubstr("no session"));
}

TEST_F(MaliciousCoordinatorTest, ANewAdvertisementErasesTheSessionBefore) {
  const v1::OpeningRequest earlier = UntilOpening(SomeStart(1));
  Must(victim().Advertise(SomeStart(2)));
  EXPECT_THAT(OpenRefusal(earlier), HasSubstr("asked before the one it needs"));
}

TEST_F(MaliciousCoordinatorTest, AnOpenedRoundIsNotOpenedAgainWithoutOneClient) {
  const v1::OpeningRequest request = UntilOpening(SomeStart(1));
  Must(victim().Open(request.SerializeAsString()));
  EXPECT_THAT(Said(victim().Advertise(SomeStart(2))), HasSubstr("was opened 1 times"));
  SecureClient::Start next_attempt = SomeStart(1);
  next_attempt.key.attempt = 2;
  EXPECT_THAT(Said(victim().Advertise(next_attempt)), HasSubstr("was opened 1 times"));
}

// What the client keeps in memory is gone after a restart; the latch is not.
TEST_F(MaliciousCoordinatorTest, ARestartedClientRemembersWhatItOpened) {
  const v1::OpeningRequest request = UntilOpening(SomeStart(1));
  Must(victim().Open(request.SerializeAsString()));
  victim() = SecureClient::Create({.federation = kFederation,
                                   .policy = {.members = {"spiffe://heart/client/*"}},
                                   .signer =
                                       [&] {
                                         return Result<std::shared_ptr<const Signer>>(
                                             federation_.authority().Admit("site-001"));
                                       },
                                   .verifier = &federation_.authority().verifier(),
                                   .latch = federation_[0].latch.get()})
                 .value();
  EXPECT_THAT(OpenRefusal(request), HasSubstr("no session"));
  EXPECT_THAT(Said(victim().Advertise(SomeStart(2))), HasSubstr("was opened 1 times"));
}

TEST_F(MaliciousCoordinatorTest, TheSameModelIsNotAnsweredInAnotherRoundOrExperiment) {
  UntilOpening(SomeStart(1));
  const auto expect_refused = [&](const SecureClient::Start& start) {
    v1::SessionRoster without = Roster(start);  // it may yet be for the same members
    without.mutable_members()->RemoveLast();
    EXPECT_THAT(SharesRefusal(without), HasSubstr("was already answered under 1 other rounds"));
    ExpectErased(without);
  };
  SecureClient::Start other_experiment = SomeStart(1);
  other_experiment.key.experiment = ExperimentId("lungs/maml");
  expect_refused(other_experiment);
  // Of the same round a new session may be had: nothing of the first was opened.
  EXPECT_TRUE(victim().Advertise(SomeStart(2)).ok());
  SecureClient::Start next_round = SomeStart(1, 6);
  next_round.model_hash = SomeStart().model_hash;
  expect_refused(next_round);
  // And the next model, of course.
  EXPECT_TRUE(victim().Advertise(SomeStart(1, 7)).ok());
}

// A round that was opened and lost: the same members add up the same model again, and others do
// not.
TEST_F(MaliciousCoordinatorTest, TheSameModelIsAnsweredToExactlyTheSameMembers) {
  const auto start = [](std::uint64_t round) {
    SecureClient::Start one = SomeStart(1, round);
    one.model_hash = Digest::Of("one model");
    return one;
  };
  Must(victim().Open(UntilOpening(start(5)).SerializeAsString()));
  Must(victim().Open(UntilOpening(start(6)).SerializeAsString()));

  SecureSite& another = federation_.Add("site-006");
  EXPECT_THAT(SharesRefusal(Roster(start(7))), HasSubstr("not always for exactly these members"));
  EXPECT_TRUE(another.client->Advertise(start(8)).ok());
  federation_.sites().pop_back();

  // The name of one, in the hands of another organisation.
  const std::string name = federation_.sites().back().id.value();
  federation_.sites().pop_back();
  federation_.Add(name, kSmallestSession, "another organisation");
  EXPECT_THAT(SharesRefusal(Roster(start(9))), HasSubstr("not always for exactly these members"));
}

// Between the roster and the masking another experiment has asked the same model of others.
TEST_F(MaliciousCoordinatorTest, TheMembersAreCheckedAgainBeforeTheMasking) {
  SecureClient::Start start = SomeStart(1, 5);
  const auto shares = Share(Roster(start));
  SessionFacts elsewhere{.key = start.key, .model_hash = start.model_hash, .members = 4};
  elsewhere.key.experiment = ExperimentId("lungs/maml");
  elsewhere.member_set = Digest::Of("others");
  Must(federation_[0].latch->RecordMasked(elsewhere));
  EXPECT_THAT(MaskRefusal(Delivery(shares, 0)), HasSubstr("not always for exactly these members"));
  EXPECT_THAT(MaskRefusal(Delivery(shares, 0)), HasSubstr("no session"));
}

TEST_F(MaliciousCoordinatorTest, OldSessionsAreNotReplayed) {
  Must(victim().Advertise(SomeStart(3)));
  EXPECT_THAT(Said(victim().Advertise(SomeStart(2))), HasSubstr("not newer"));
  EXPECT_THAT(Said(victim().Advertise(SomeStart(9, 4))), HasSubstr("not newer"));
  SecureClient::Start other_plan = SomeStart(3);
  other_plan.plan_hash = Digest::Of("another plan");
  EXPECT_THAT(Said(victim().Advertise(other_plan)), HasSubstr("not newer"));
  EXPECT_EQ(Must(victim().Advertise(SomeStart(3))), Must(victim().Advertise(SomeStart(3))));
}

// ---- Swapped keys

TEST_F(MaliciousCoordinatorTest, KeysAreNotSwapped) {
  for (const bool mask_key : {true, false}) {
    v1::SessionRoster roster = Roster(SomeStart(mask_key ? 1 : 2));
    v1::SignedMessage& statement = *roster.mutable_members(1)->mutable_statement();
    v1::AdvertisementBody body;
    ASSERT_TRUE(body.ParseFromString(statement.body()));
    const AgreementKey own(SecretRng().Draw(32));
    (mask_key ? body.mutable_mask_key() : body.mutable_share_key())->assign(own.public_key());
    statement.set_body(body.SerializeAsString());
    EXPECT_THAT(SharesRefusal(roster), HasSubstr("site-002: the signature of its advertisement"));
    ExpectErased(roster);
  }
}

TEST_F(MaliciousCoordinatorTest, AnAdvertisementOfAnotherSessionDoesNotServe) {
  const v1::SessionRoster first = Roster(SomeStart(1));
  v1::SessionRoster second = Roster(SomeStart(2));
  *second.mutable_members(1) = first.members(1);  // whose keys an accomplice may have learned
  EXPECT_THAT(SharesRefusal(second), HasSubstr("site-002: the signature of its advertisement"));
}

TEST_F(MaliciousCoordinatorTest, AMemberCannotSpeakForAnother) {
  RogueMember rogue(federation_, "site-rogue");
  v1::SessionRoster roster = Roster();
  ASSERT_TRUE(roster.mutable_members(1)->ParseFromString(rogue.Advertise(
      SomeStart(), [](auto& body) { body.set_identity("spiffe://heart/client/site-002"); })));
  EXPECT_THAT(SharesRefusal(roster), HasSubstr("is for another identity"));
}

TEST_F(MaliciousCoordinatorTest, TheOwnEntryIsExactlyTheOwnAdvertisement) {
  v1::SessionRoster roster = Roster();
  RogueMember twin(federation_, "site-001");  // the same certificate: a stolen key
  ASSERT_TRUE(roster.mutable_members(0)->ParseFromString(twin.Advertise(SomeStart())));
  EXPECT_THAT(SharesRefusal(roster), HasSubstr("another advertisement of this client"));
  v1::SessionRoster without = Roster(SomeStart(2));
  without.mutable_members()->DeleteSubrange(0, 1);
  EXPECT_THAT(SharesRefusal(without), HasSubstr("does not hold this client"));
}

// ---- Different models and plans

TEST_F(MaliciousCoordinatorTest, MembersThatWereGivenSomethingElseAreNoticed) {
  const auto refusal = [&](std::uint32_t session, const auto& change) {
    SecureClient::Start other = SomeStart(session);
    change(other);
    v1::SessionRoster roster;
    for (std::size_t i = 0; i < federation_.size(); ++i) {
      EXPECT_TRUE(roster.add_members()->ParseFromString(
          Must(federation_[i].client->Advertise(i == 2 ? other : SomeStart(session)))));
    }
    return SharesRefusal(roster);
  };
  EXPECT_THAT(refusal(1, [](auto& start) { start.plan_hash = Digest::Of("other"); }),
              HasSubstr("site-003: it was given another plan"));
  EXPECT_THAT(refusal(2, [](auto& start) { start.model_hash = Digest::Of("crafted"); }),
              HasSubstr("site-003: it was given another model"));
  EXPECT_THAT(refusal(3, [](auto& start) { start.words = 9; }), HasSubstr("9 words of 32 bits"));
  EXPECT_THAT(refusal(4, [](auto& start) { start.bits = RingBits::k64; }), HasSubstr("64 bits"));
  // Another round or group is another place: what was signed there does not hold here.
  EXPECT_THAT(refusal(5, [](auto& start) { start.group = 1; }), HasSubstr("the signature"));
  EXPECT_THAT(refusal(6, [](auto& start) { start.key.attempt = 2; }), HasSubstr("the signature"));
  EXPECT_THAT(refusal(7, [](auto& start) { start.key.purpose = Purpose::kEvaluate; }),
              HasSubstr("the signature"));
}

// ---- Members

TEST_F(MaliciousCoordinatorTest, InventedMembersAreRefused) {
  SecureFederation elsewhere(1);  // another authority says it is of this federation
  v1::SessionRoster roster = Roster();
  ASSERT_TRUE(roster.mutable_members(3)->ParseFromString(
      Must(elsewhere[0].client->Advertise(SomeStart()))));
  EXPECT_THAT(SharesRefusal(roster), HasSubstr("not a party of this process"));
}

TEST_F(MaliciousCoordinatorTest, AMemberIsThereOnce) {
  v1::SessionRoster roster = Roster();
  *roster.mutable_members(3) = roster.members(2);
  EXPECT_THAT(SharesRefusal(roster), HasSubstr("it has the identity of"));
}

TEST_F(MaliciousCoordinatorTest, TheRosterHasOneOrder) {
  v1::SessionRoster roster = Roster();
  roster.mutable_members()->SwapElements(1, 2);
  EXPECT_THAT(SharesRefusal(roster), HasSubstr("not sorted by identity"));
}

TEST_F(MaliciousCoordinatorTest, OneClientOfAnOrganisation) {
  federation_.Add("site-005", kSmallestSession, "clinic");
  federation_.Add("site-006", kSmallestSession, "clinic");
  EXPECT_THAT(SharesRefusal(Roster()), HasSubstr("site-006: it belongs to the organisation"));
}

TEST_F(MaliciousCoordinatorTest, TheLocalMinimumHolds) {
  SecureFederation cautious(5, 5);
  v1::SessionRoster roster;
  for (std::size_t i = 0; i < 4; ++i) {
    ASSERT_TRUE(
        roster.add_members()->ParseFromString(Must(cautious[i].client->Advertise(SomeStart()))));
  }
  EXPECT_THAT(Said(cautious[0].client->Share(roster.SerializeAsString())),
              HasSubstr("must have 5 to 128 members, got 4"));
}

TEST_F(MaliciousCoordinatorTest, OnlyPinnedMembers) {
  SecureSite site{.id = ClientId("site-000")};
  site.client.emplace(
      SecureClient::Create({.federation = kFederation,
                            .policy = {.members = {"spiffe://heart/client/site-000",
                                                   "spiffe://heart/client/site-001",
                                                   "spiffe://heart/client/site-002"}},
                            .signer =
                                [&] {
                                  return Result<std::shared_ptr<const Signer>>(
                                      federation_.authority().Admit("site-000"));
                                },
                            .verifier = &federation_.authority().verifier(),
                            .latch = site.latch.get()})
          .value());
  v1::SessionRoster roster;
  ASSERT_TRUE(roster.add_members()->ParseFromString(Must(site.client->Advertise(SomeStart()))));
  const v1::SessionRoster others = Roster();
  for (const auto& member : others.members()) *roster.add_members() = member;
  EXPECT_THAT(Said(site.client->Share(roster.SerializeAsString())),
              HasSubstr("site-003 is not among the members that this site's policy names"));
}

TEST_F(MaliciousCoordinatorTest, BadKeysOfAMemberAreRefusedByClientsAndServer) {
  const std::string zeros(32, '\0');
  const std::string one = std::string(1, '\1') + std::string(31, '\0');
  // A point of order 8 (Curve25519's low-order points are few and well known).
  const std::string order_eight(
      "\xe0\xeb\x7a\x7c\x3b\x41\xb8\xae\x16\x56\xe3\xfa\xf1\x9f\xc4\x6a"
      "\xda\x09\x8d\xeb\x9c\x32\xb1\xfd\x86\x62\x05\x16\x5f\x49\xb8\x00",
      32);
  std::uint32_t session = 0;
  for (const std::string& key : {zeros, one, order_eight, std::string(33, '\7'), std::string()}) {
    for (const bool mask_key : {true, false}) {
      const SecureClient::Start start = SomeStart(++session);
      RogueMember rogue(federation_, "site-rogue");
      const std::string advertised = rogue.Advertise(start, [&](auto& body) {
        (mask_key ? body.mutable_mask_key() : body.mutable_share_key())->assign(key);
      });
      SecureServer server = federation_.Server(start);
      EXPECT_THAT(Said(server.AddAdvertisement(rogue.id(), advertised)), HasSubstr("X25519"));
      v1::SessionRoster roster = Roster(start);
      ASSERT_TRUE(roster.add_members()->ParseFromString(advertised));
      EXPECT_THAT(SharesRefusal(roster), HasSubstr("X25519"));
    }
  }
}

TEST_F(MaliciousCoordinatorTest, AMemberThatRepeatsAKeyIsRefused) {
  const v1::SessionRoster honest = Roster();
  v1::AdvertisementBody other;
  ASSERT_TRUE(other.ParseFromString(honest.members(1).statement().body()));
  RogueMember rogue(federation_, "site-rogue");
  v1::SessionRoster roster = honest;
  ASSERT_TRUE(roster.add_members()->ParseFromString(
      rogue.Advertise(SomeStart(), [&](auto& body) { body.set_mask_key(other.share_key()); })));
  EXPECT_THAT(SharesRefusal(roster), HasSubstr("it repeats a key of"));
}

// ---- Shares

TEST_F(MaliciousCoordinatorTest, ReflectedAndMisdirectedSharesAreNoticed) {
  const auto delivered = [&](std::uint32_t session, const auto& change) {
    const auto shares = Share(Roster(SomeStart(session)));
    v1::ShareDelivery delivery = Delivery(shares, 0);
    change(delivery, shares);
    return MaskRefusal(delivery);
  };
  EXPECT_THAT(delivered(1,
                        [](auto& delivery, const auto& shares) {
                          delivery.mutable_members(1)->set_sealed(shares[0].sealed(1));
                        }),
              HasSubstr("site-002 cannot be opened"));  // its own share for site-002
  EXPECT_THAT(delivered(2,
                        [](auto& delivery, const auto& shares) {
                          delivery.mutable_members(1)->set_sealed(shares[1].sealed(2));
                        }),
              HasSubstr("site-002 cannot be opened"));  // meant for site-003
  EXPECT_THAT(delivered(3,
                        [](auto& delivery, const auto& shares) {
                          delivery.mutable_members(1)->set_sealed(shares[2].sealed(0));
                        }),
              HasSubstr("site-002 cannot be opened"));  // of site-003
  EXPECT_THAT(delivered(4,
                        [](auto& delivery, const auto& shares) {
                          *delivery.mutable_members(1)->mutable_hashes() = shares[2].hashes();
                        }),
              HasSubstr("site-002: the signature of its share hashes"));
  EXPECT_THAT(
      delivered(5, [](auto& delivery, const auto&) { delivery.mutable_members()->RemoveLast(); }),
      HasSubstr("shares must come from 4 members, got 3"));
  EXPECT_THAT(delivered(6,
                        [](auto& delivery, const auto& shares) {
                          delivery.mutable_members(0)->set_sealed(shares[1].sealed(0));
                        }),
              HasSubstr("a client's own share is not for the wire"));
}

TEST_F(MaliciousCoordinatorTest, SharesOfAnEarlierSessionDoNotServe) {
  const auto earlier = Share(Roster(SomeStart(1)));
  const auto shares = Share(Roster(SomeStart(2)));
  v1::ShareDelivery delivery = Delivery(shares, 0);
  *delivery.mutable_members(2) = Delivery(earlier, 0).members(2);
  EXPECT_THAT(MaskRefusal(delivery), HasSubstr("the signature of its share hashes"));
}

// ---- Receipts

TEST_F(MaliciousCoordinatorTest, NothingOpensWithoutEveryMembersOwnReceipt) {
  const auto refused = [&](std::uint32_t session, const auto& change) {
    v1::OpeningRequest request = UntilOpening(SomeStart(session));
    change(request);
    const std::string said = OpenRefusal(request);
    // Nothing was latched either: the round may still be opened by a later session.
    EXPECT_TRUE(victim().Advertise(SomeStart(session + 1)).ok());
    return said;
  };
  EXPECT_THAT(refused(1, [](auto& request) { request.mutable_receipts()->RemoveLast(); }),
              HasSubstr("needs the receipts of 4 members, got 3"));
  EXPECT_THAT(refused(3, [](auto& request) { *request.mutable_receipts(2) = request.receipts(1); }),
              HasSubstr("site-003: the signature of its receipt"));
  EXPECT_THAT(refused(5,
                      [](auto& request) {
                        v1::ReceiptBody body;
                        body.set_vector_hash(Digest::Of("forged").bytes());
                        request.mutable_receipts(2)->set_body(body.SerializeAsString());
                      }),
              HasSubstr("site-003: the signature of its receipt"));
  v1::OpeningRequest earlier;
  refused(7, [&](auto& request) {
    earlier = request;
    request.Clear();
  });
  EXPECT_THAT(
      refused(9, [&](auto& request) { *request.mutable_receipts(2) = earlier.receipts(2); }),
      HasSubstr("site-003: the signature of its receipt"));
}

// A stolen key signs a second receipt: what the victim sent is the victim's to say.
TEST_F(MaliciousCoordinatorTest, TheOwnReceiptIsTheOneThatWasSent) {
  v1::OpeningRequest request = UntilOpening(SomeStart());
  const Digest session = victim().session();
  const SessionContext context{.federation = kFederation, .key = SomeStart().key};
  v1::ReceiptBody body;
  body.set_vector_hash(Digest::Of("another vector").bytes());
  *request.mutable_receipts(0) =
      Must(SignBody(*federation_.authority().Admit("site-001"),
                    {.context = context, .message = SessionMessage::kReceipt, .session = &session},
                    body.SerializeAsString()));
  EXPECT_THAT(OpenRefusal(request), HasSubstr("the own receipt is not the one that was sent"));
}

// Members that see different members are in different sessions, whatever their number.
TEST_F(MaliciousCoordinatorTest, ASplitViewOpensNothing) {
  const v1::SessionRoster all = Roster();
  v1::SessionRoster without = all;
  without.mutable_members()->RemoveLast();
  std::vector<v1::Shares> shares(4);
  for (std::size_t i = 0; i < 4; ++i) {
    const v1::SessionRoster& told = i == 1 ? without : all;
    ASSERT_TRUE(
        shares[i].ParseFromString(Must(federation_[i].client->Share(told.SerializeAsString()))));
  }
  shares[1].add_sealed("");
  EXPECT_NE(federation_[1].client->session(), victim().session());
  EXPECT_THAT(MaskRefusal(Delivery(shares, 0)),
              HasSubstr("site-002: the signature of its share hashes"));
}

// ---- Each phase once

TEST_F(MaliciousCoordinatorTest, APhaseIsAnsweredOnceAndTheSameRequestAlike) {
  const v1::SessionRoster roster = Roster();
  const auto shares = Share(roster);
  EXPECT_EQ(Must(victim().Share(roster.SerializeAsString())), shares[0].SerializeAsString());
  const v1::OpeningRequest request = Mask(shares);
  const std::string receipt = request.receipts(0).SerializeAsString();
  // Another vector is no use: the first one was answered.
  RingVector other(RingBits::k32, 8);
  other.AddSigned(0, 1);
  const auto again = Must(victim().Mask(Delivery(shares, 0).SerializeAsString(), std::move(other)));
  EXPECT_EQ(again.receipt, receipt);
  const std::string opening = Must(victim().Open(request.SerializeAsString()));
  EXPECT_EQ(Must(victim().Open(request.SerializeAsString())), opening);
  v1::OpeningRequest different = request;
  different.add_receipts();
  EXPECT_THAT(OpenRefusal(different), HasSubstr("asked twice, differently"));
  EXPECT_THAT(OpenRefusal(request), HasSubstr("no session"));
}

TEST_F(MaliciousCoordinatorTest, PhasesAreNotSkipped) {
  const v1::SessionRoster roster = Roster();
  EXPECT_THAT(OpenRefusal({}), HasSubstr("asked before the one it needs"));
  ExpectErased(roster);
  const auto shares = Share(Roster(SomeStart(2)));
  EXPECT_THAT(OpenRefusal({}), HasSubstr("asked before the one it needs"));
  EXPECT_THAT(MaskRefusal(Delivery(shares, 0)), HasSubstr("no session"));
}

TEST_F(MaliciousCoordinatorTest, NoFlippedBitGoesUnnoticed) {
  std::uint32_t session = 0;
  // Every message of a session, one bit of it changed, at positions all over it.
  const auto flipped = [](std::string bytes, std::size_t at) {
    bytes[at] = static_cast<char>(bytes[at] ^ (1 << at % 8));
    return bytes;
  };
  for (std::size_t at = 0, size = 1; at < size; at += 31) {
    const std::string roster = Roster(SomeStart(++session)).SerializeAsString();
    size = roster.size();
    EXPECT_FALSE(victim().Share(flipped(roster, at)).ok()) << at;
  }
  for (std::size_t at = 0, size = 1; at < size; at += 23) {
    const std::string delivery =
        Delivery(Share(Roster(SomeStart(++session))), 0).SerializeAsString();
    size = delivery.size();
    EXPECT_FALSE(victim().Mask(flipped(delivery, at), RingVector(RingBits::k32, 8)).ok()) << at;
  }
  for (std::size_t at = 0, size = 1; at < size; at += 11) {
    const std::string request = UntilOpening(SomeStart(++session)).SerializeAsString();
    size = request.size();
    EXPECT_FALSE(victim().Open(flipped(request, at)).ok()) << at;
  }
}

TEST_F(MaliciousCoordinatorTest, GarbageIsRefused) {
  Rng rng({.seed = 5, .purpose = "test"});
  for (std::uint32_t session = 1; session < 200; ++session) {
    std::string garbage(rng.Below(300), '\0');
    for (char& byte : garbage) byte = static_cast<char>(rng.Next());
    Must(victim().Advertise(SomeStart(session)));
    EXPECT_FALSE(victim().Share(garbage).ok());
  }
}

// ---- The latch

/// Cannot write, as on a full disk.
class FullDisk final : public OpeningLatch {
 public:
  Status CheckStart(const SessionFacts&) override { return {}; }
  Status RecordMasked(const SessionFacts& facts) override {
    masked = facts;
    return mask_fails ? Full() : Status();
  }
  Status RecordOpened(const SessionFacts&) override { return Full(); }
  static Status Full() { return Error(ErrorCode::kResourceExhausted, "disk full"); }
  bool mask_fails = false;
  SessionFacts masked;
};

TEST_F(MaliciousCoordinatorTest, NothingLeavesThatCannotBeRecorded) {
  for (const bool mask_fails : {true, false}) {
    FullDisk disk;
    disk.mask_fails = mask_fails;
    SecureFederation federation(2);
    SecureSite& site = federation.Add("site-003");
    site.client.emplace(SecureClient::Create({.federation = kFederation,
                                              .policy = {.members = {"spiffe://heart/client/*"}},
                                              .signer =
                                                  [&] {
                                                    return Result<std::shared_ptr<const Signer>>(
                                                        federation.authority().Admit("site-003"));
                                                  },
                                              .verifier = &federation.authority().verifier(),
                                              .latch = &disk})
                            .value());
    SecureServer server = federation.Server(SomeStart());
    for (SecureSite& one : federation.sites())
      Must(server.AddAdvertisement(one.id, Must(one.client->Advertise(SomeStart()))));
    const std::string roster = Must(server.Roster());
    for (SecureSite& one : federation.sites())
      Must(server.AddShares(one.id, Must(one.client->Share(roster))));
    for (SecureSite& one : federation.sites()) {
      const auto masked =
          one.client->Mask(Must(server.Delivery(one.id)), RingVector(RingBits::k32, 8));
      if (mask_fails && &one == &site) {
        EXPECT_EQ(Said(masked), "disk full");
      } else {
        Must(server.AddReceipt(one.id, Must(masked).receipt, Digest::Of(masked->vector)));
      }
    }
    EXPECT_EQ(disk.masked.session, server.session());
    EXPECT_EQ(disk.masked.members, 3U);
    if (mask_fails) continue;
    EXPECT_EQ(Said(site.client->Open(Must(server.OpeningRequest()))), "disk full");
    EXPECT_FALSE(site.client->Open(Must(server.OpeningRequest())).ok());
  }
}

// ---- What clients say of their data

// All messages but the vector are the same in form whatever is summed, and the vector's words are
// uniform: no value of a site shows. A chi-square test finds bias of single words and of
// differences of neighbours; it does not prove that masks are unpredictable, which rests on
// AES and X25519.
TEST_F(MaliciousCoordinatorTest, MaskedWordsAreUniform) {
  constexpr std::uint64_t kWords = 1 << 16;
  SecureClient::Start start = SomeStart(1, 5, kWords);
  const auto shares = Share(Roster(start));
  const auto masked = Must(
      victim().Mask(Delivery(shares, 0).SerializeAsString(), RingVector(RingBits::k32, kWords)));
  ExpectUniformBytes(masked.vector);
}

}  // namespace
}  // namespace fedmeta
