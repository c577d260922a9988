// A coordinator that lies, against the client code that runs at a site: its updates, its sessions
// and its record of openings on disk. Row by row of the trust table of docs/security.md; what each
// message of a session must be is tested in tests/privacy/malicious_coordinator_test.cc.
#include "fedmeta/client/secure_site.h"

#include <memory>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fedmeta/core/logger.h"
#include "fedmeta/identity/live_identity.h"
#include "fedmeta/identity/revocation.h"
#include "fedmeta/privacy/certificate_party.h"
#include "fedmeta/privacy/masked_sum.h"
#include "fedmeta/privacy/process_party.h"
#include "fedmeta/privacy/secure_server.h"
#include "fedmeta/protocol/phases.h"
#include "fedmeta/tests/identity/pki_fixture.h"
#include "fedmeta/tests/support/temporary_folder.h"
#include "fedmeta/v1/secure.pb.h"

namespace fedmeta {
namespace {

using ::testing::HasSubstr;

constexpr std::size_t kWords = 7;

v1::Assignment Assigned(const std::string& experiment) {
  v1::Assignment assignment;
  assignment.set_experiment(experiment);
  assignment.set_seed(Digest::Of(experiment).bytes()[0] & 0x7f);
  assignment.set_data("heart");
  assignment.mutable_algorithm()->set_name("maml");
  return assignment;
}

RoundPlan Plan(std::uint64_t round, std::uint32_t attempt = 1, const std::string& state = "state",
               const std::string& experiment = "heart/maml") {
  v1::RoundPlan plan;
  v1::RoundKey& key = *plan.mutable_key();
  key.set_experiment(experiment);
  key.set_purpose(v1::PURPOSE_TRAIN);
  key.set_round(round);
  key.set_attempt(attempt);
  plan.set_assignment_hash(Digest::Of("assignment").bytes());
  plan.set_assignment_size(10);
  plan.set_state_hash(Digest::Of(state).bytes());
  plan.set_state_coordinates(1);
  plan.set_maximum_weight(1);
  plan.set_report_deadline_ms(1000);
  plan.mutable_train();
  return RoundPlan::Create(std::move(plan)).value();
}

/// Four sites; what they are told is the test's choice.
class SecureSiteTest : public ::testing::Test {
 protected:
  SecureSiteTest() {
    for (const char* name : {"a", "b", "c", "d"}) {
      names_.emplace_back(name);
      folders_.push_back(std::make_unique<TemporaryFolder>());
      sites_.push_back(Start(sites_.size()));
    }
  }

  std::unique_ptr<SecureSite> Start(std::size_t i) {
    return std::make_unique<SecureSite>(
        SecureIdentity{.federation = "heart",
                       .policy = {.members = {"spiffe://heart/client/*"}},
                       .signer = [signer = authority_.Admit(names_[i])] { return Result(signer); },
                       .verifier = &authority_.verifier()},
        folders_[i]->path() / "openings");
  }
  void Restart(std::size_t i) {
    sites_[i].reset();
    sites_[i] = Start(i);
  }
  void Hold(std::size_t i, const RoundPlan& plan, const std::string& data = "heart") {
    const auto vector = std::make_shared<RingVector>(RingBits::k32, kWords);
    vector->AddSigned(0, static_cast<std::int64_t>(i + 1));
    const Status held =
        sites_[i]->Hold(data, plan, Assigned(plan.key().experiment.value()), vector, {});
    ASSERT_TRUE(held.ok()) << held.error().message();
  }
  void HoldAll(const RoundPlan& plan) {
    for (std::size_t i = 0; i < sites_.size(); ++i) Hold(i, plan);
  }

  Result<SecureMember::Answer> Ask(std::size_t i, const RoundPlan& plan, std::uint32_t session,
                                   std::string_view phase, std::string body = {}) {
    v1::PhaseRequest request;
    *request.mutable_key() = plan.message().key();
    request.mutable_key()->set_session(session);
    request.set_phase(std::string(phase));
    request.set_body(std::move(body));
    return sites_[i]->member()->Handle(request);
  }
  std::string Refusal(std::size_t i, const RoundPlan& plan, std::uint32_t session,
                      std::string_view phase, std::string body = {}) {
    const auto answer = Ask(i, plan, session, phase, std::move(body));
    if (!answer.ok()) return answer.error().message();
    return answer->phase == phase ? "(answered)" : "(" + answer->phase + ")";
  }

  v1::SessionRoster Advertise(const RoundPlan& plan, std::uint32_t session) {
    v1::SessionRoster roster;
    for (std::size_t i = 0; i < sites_.size(); ++i) {
      const auto answer = Ask(i, plan, session, kAdvertisePhase);
      EXPECT_TRUE(answer.ok()) << answer.error().message();
      EXPECT_TRUE(roster.add_members()->ParseFromString(answer->body));
    }
    return roster;
  }

  /// A session of the first `count` as it should be, up to the opening request.
  SecureServer UntilOpening(const RoundPlan& plan, std::uint32_t session, std::size_t count,
                            MaskedSum& sum) {
    SecureServer server({.federation = "heart",
                         .key = SecureKey(plan, session),
                         .group = 0,
                         .plan_hash = plan.hash(),
                         .model_hash = ModelHash(QuestionHash(Assigned("any")), plan.message()),
                         .bits = RingBits::k32,
                         .words = kWords,
                         .verifier = &authority_.verifier()});
    const auto each = [&](std::string_view phase, const auto& request, const auto& take) {
      for (std::size_t i = 0; i < count; ++i) {
        const auto answer = Ask(i, plan, session, phase, request(ClientId(names_[i])));
        EXPECT_TRUE(answer.ok()) << answer.error().message();
        const Status taken = take(ClientId(names_[i]), *answer);
        EXPECT_TRUE(taken.ok()) << taken.error().message();
      }
    };
    using Answer = SecureMember::Answer;
    each(
        kAdvertisePhase, [](const ClientId&) { return std::string(); },
        [&](const ClientId& client, const Answer& answer) {
          return server.AddAdvertisement(client, answer.body);
        });
    const std::string roster = server.Roster().value();
    each(
        kSharePhase, [&](const ClientId&) { return roster; },
        [&](const ClientId& client, const Answer& answer) {
          return server.AddShares(client, answer.body);
        });
    each(
        kMaskPhase, [&](const ClientId& client) { return server.Delivery(client).value(); },
        [&](const ClientId& client, const Answer& answer) {
          EXPECT_TRUE(sum.Add(answer.upload).ok());
          return server.AddReceipt(client, answer.body, Digest::Of(answer.upload));
        });
    return server;
  }
  std::int64_t OpenedSum(const RoundPlan& plan, std::uint32_t session, std::size_t count) {
    MaskedSum sum(RingVector(RingBits::k32, kWords));
    SecureServer server = UntilOpening(plan, session, count, sum);
    const std::string request = server.OpeningRequest().value();
    for (std::size_t i = 0; i < count; ++i) {
      const auto answer = Ask(i, plan, session, kOpenPhase, request);
      EXPECT_TRUE(answer.ok()) << answer.error().message();
      EXPECT_TRUE(server.AddOpening(ClientId(names_[i]), answer->body).ok());
    }
    return std::move(sum).Unmask(server.Reconstruct().value()).Signed(0);
  }

  ProcessAuthority authority_{"heart"};
  std::vector<std::string> names_;
  std::vector<std::unique_ptr<TemporaryFolder>> folders_;
  std::vector<std::unique_ptr<SecureSite>> sites_;
};

TEST_F(SecureSiteTest, AnHonestRoundOpensItsSum) {
  HoldAll(Plan(1));
  EXPECT_EQ(OpenedSum(Plan(1), 1, 4), 1 + 2 + 3 + 4);
}

TEST_F(SecureSiteTest, OneAdvertisementJoinsOneSession) {
  HoldAll(Plan(1));
  const v1::SessionRoster all = Advertise(Plan(1), 1);
  v1::SessionRoster without = all;
  without.mutable_members()->RemoveLast();
  EXPECT_EQ(Refusal(0, Plan(1), 1, kSharePhase, all.SerializeAsString()), "(answered)");
  EXPECT_THAT(Refusal(0, Plan(1), 1, kSharePhase, without.SerializeAsString()),
              HasSubstr("asked twice, differently"));
  EXPECT_THAT(Refusal(0, Plan(1), 1, kSharePhase, all.SerializeAsString()),
              HasSubstr("no session"));
}

TEST_F(SecureSiteTest, ARoundIsNotOpenedAgainWithoutOneSite) {
  HoldAll(Plan(1));
  OpenedSum(Plan(1), 1, 4);
  EXPECT_THAT(Refusal(0, Plan(1), 2, kAdvertisePhase), HasSubstr("was opened 1 times"));
  // Under another attempt, with the same update; after a restart, with one that is trained anew.
  Hold(0, Plan(1, 2));
  EXPECT_THAT(Refusal(0, Plan(1, 2), 1, kAdvertisePhase), HasSubstr("was opened 1 times"));
  Restart(0);
  Hold(0, Plan(1, 3));
  EXPECT_THAT(Refusal(0, Plan(1, 3), 1, kAdvertisePhase), HasSubstr("was opened 1 times"));
}

TEST_F(SecureSiteTest, ARestartedSiteDoesNotResumeASession) {
  HoldAll(Plan(1));
  MaskedSum sum(RingVector(RingBits::k32, kWords));
  SecureServer server = UntilOpening(Plan(1), 1, 4, sum);
  Restart(0);
  Hold(0, Plan(1));
  EXPECT_THAT(Refusal(0, Plan(1), 1, kOpenPhase, server.OpeningRequest().value()),
              HasSubstr("no session"));
}

TEST_F(SecureSiteTest, AModelIsAnsweredToOneSetOfMembersWhateverItIsCalled) {
  HoldAll(Plan(1));
  MaskedSum sum(RingVector(RingBits::k32, kWords));
  UntilOpening(Plan(1), 1, 4, sum);  // masked, never opened
  for (const bool restarted : {false, true}) {
    if (restarted) Restart(0);
    // The next round; another name, and another seed with it.
    for (const RoundPlan& plan : {Plan(2), Plan(1, 1, "state", "lungs/maml")}) {
      HoldAll(plan);
      v1::SessionRoster without = Advertise(plan, restarted ? 2 : 1);
      without.mutable_members()->RemoveLast();
      EXPECT_THAT(Refusal(0, plan, restarted ? 2 : 1, kSharePhase, without.SerializeAsString()),
                  HasSubstr("was already answered under 1 other rounds, not always for exactly"));
    }
  }
  HoldAll(Plan(2));
  EXPECT_EQ(OpenedSum(Plan(2), 3, 4), 1 + 2 + 3 + 4) << "the same members";
  // The next state is another model; so is the same one to other data of this site.
  Hold(0, Plan(3, 1, "next state"));
  EXPECT_EQ(Refusal(0, Plan(3, 1, "next state"), 1, kAdvertisePhase), "(answered)");
  Hold(0, Plan(2), "lungs");
  EXPECT_EQ(Refusal(0, Plan(2), 1, kAdvertisePhase), "(answered)");
}

TEST_F(SecureSiteTest, ASiteIsInOneSessionOverAllItsData) {
  HoldAll(Plan(1));
  MaskedSum sum(RingVector(RingBits::k32, kWords));
  SecureServer server = UntilOpening(Plan(1), 1, 4, sum);
  const std::string request = server.OpeningRequest().value();
  Hold(0, Plan(1, 1, "state", "lungs/maml"), "lungs");
  EXPECT_THAT(Refusal(0, Plan(1), 1, kOpenPhase, request), HasSubstr("no update of"));
  Hold(0, Plan(1));
  EXPECT_THAT(Refusal(0, Plan(1), 1, kOpenPhase, request), HasSubstr("no session"));
}

TEST_F(SecureSiteTest, SitesThatWereGivenDifferentModelsOrPlansShareNothing) {
  for (const bool model : {true, false}) {
    const std::uint64_t round = model ? 1 : 2;
    const RoundPlan plan = Plan(round, 1, "state of " + std::to_string(round));
    HoldAll(plan);
    v1::RoundPlan changed = plan.message();
    model ? changed.set_state_hash(Digest::Of("crafted").bytes())
          : changed.set_report_deadline_ms(999);
    Hold(1, RoundPlan::Create(std::move(changed)).value());
    EXPECT_THAT(Refusal(0, plan, 1, kSharePhase, Advertise(plan, 1).SerializeAsString()),
                HasSubstr("b: it was given another "));
  }
}

TEST_F(SecureSiteTest, SwappedKeysInventedMembersAndForgedReceiptsAreNoticed) {
  HoldAll(Plan(1));
  v1::SessionRoster swapped = Advertise(Plan(1), 1);
  v1::AdvertisementBody body;
  ASSERT_TRUE(body.ParseFromString(swapped.members(1).statement().body()));
  body.set_mask_key(body.share_key());
  swapped.mutable_members(1)->mutable_statement()->set_body(body.SerializeAsString());
  EXPECT_THAT(Refusal(0, Plan(1), 1, kSharePhase, swapped.SerializeAsString()),
              HasSubstr("the signature of its advertisement"));

  v1::SessionRoster invented = Advertise(Plan(1), 2);
  const ProcessAuthority elsewhere("heart");  // says that it is of this federation
  invented.mutable_members(3)->set_certificate(elsewhere.Admit("d")->certificate());
  EXPECT_THAT(Refusal(0, Plan(1), 2, kSharePhase, invented.SerializeAsString()),
              HasSubstr("not a party of this process"));

  MaskedSum sum(RingVector(RingBits::k32, kWords));
  SecureServer server = UntilOpening(Plan(1), 3, 4, sum);
  v1::OpeningRequest forged;
  ASSERT_TRUE(forged.ParseFromString(server.OpeningRequest().value()));
  v1::ReceiptBody receipt;
  receipt.set_vector_hash(Digest::Of("another vector").bytes());
  forged.mutable_receipts(2)->set_body(receipt.SerializeAsString());
  EXPECT_THAT(Refusal(0, Plan(1), 3, kOpenPhase, forged.SerializeAsString()),
              HasSubstr("the signature of its receipt"));
  // And nothing was opened: another session may be.
  EXPECT_EQ(OpenedSum(Plan(1), 4, 4), 1 + 2 + 3 + 4);
}

TEST_F(SecureSiteTest, WhatComesLateOrWithoutAnUpdateGetsNothing) {
  HoldAll(Plan(1));
  MaskedSum sum(RingVector(RingBits::k32, kWords));
  SecureServer server = UntilOpening(Plan(1), 1, 4, sum);
  const std::string delivery = server.Delivery(ClientId("a")).value();
  Advertise(Plan(1), 2);
  EXPECT_THAT(Refusal(0, Plan(1), 1, kMaskPhase, delivery),
              HasSubstr("asked before the one it needs"));
  EXPECT_THAT(Refusal(0, Plan(1), 1, kAdvertisePhase), HasSubstr("not newer"));
  for (const RoundPlan& other : {Plan(2), Plan(1, 2), Plan(1, 1, "state", "lungs/maml")})
    EXPECT_THAT(Refusal(0, other, 3, kAdvertisePhase), HasSubstr("no update of"));
  EXPECT_THAT(Refusal(0, Plan(1), 0, kAdvertisePhase), HasSubstr("no update of"));
  EXPECT_THAT(Refusal(0, Plan(1), 3, "everything"), HasSubstr("no such phase"));
}

TEST_F(SecureSiteTest, ABadShareIsComplainedOfWithoutAnUpload) {
  HoldAll(Plan(1));
  const std::string roster = Advertise(Plan(1), 1).SerializeAsString();
  v1::ShareDelivery delivery;
  for (std::size_t i = 0; i < sites_.size(); ++i) {
    v1::Shares shares;
    ASSERT_TRUE(shares.ParseFromString(Ask(i, Plan(1), 1, kSharePhase, roster)->body));
    auto* entry = delivery.add_members();
    if (i == 0) continue;
    *entry->mutable_hashes() = shares.hashes();
    entry->set_sealed(shares.sealed(0));
  }
  delivery.mutable_members(2)->mutable_sealed()->back() ^= 1;
  const auto answer = Ask(0, Plan(1), 1, kMaskPhase, delivery.SerializeAsString());
  ASSERT_TRUE(answer.ok()) << answer.error().message();
  EXPECT_EQ(answer->phase, kComplaintPhase);
  EXPECT_TRUE(answer->upload.empty());
  v1::SignedMessage complaint;
  v1::ComplaintBody body;
  ASSERT_TRUE(complaint.ParseFromString(answer->body));
  ASSERT_TRUE(body.ParseFromString(complaint.body()));
  EXPECT_EQ(body.identity(), "spiffe://heart/client/c");
}

TEST_F(SecureSiteTest, TwoProcessesDoNotShareARecordOfOpenings) {
  Hold(0, Plan(1));
  const auto second = Start(0);
  const Status held = second->Hold("heart", Plan(1), Assigned("heart/maml"),
                                   std::make_shared<RingVector>(RingBits::k32, kWords), {});
  ASSERT_FALSE(held.ok());
  EXPECT_EQ(held.error().code(), ErrorCode::kUnavailable);
}

// With certificates of an authority and its list, as a live site has them.
class CertifiedSiteTest : public PkiTest {
 protected:
  struct Site {
    std::shared_ptr<LiveIdentity> identity;
    std::unique_ptr<PeerVerifier> verifier;
    std::unique_ptr<SecureSite> site;
  };

  CertifiedSiteTest() {
    Authority();
    Revoked({});
    for (const char* name : {"a", "b", "c", "d"}) {
      const auto request = Request(std::string("spiffe://heart/client/") + name);
      EXPECT_TRUE(Sign(request).ok());
      v1::Identity files = Files(request);
      files.set_revocation_list(folder_ / "authority" / "denylist.pem");
      Site& one = sites_.emplace_back();
      one.identity = LiveIdentity::Open(files, IdentityRole::kClient, clock_, *logger_).value();
      one.verifier = CertificateVerifier(*one.identity, clock_);
      one.site = std::make_unique<SecureSite>(
          SecureIdentity{.federation = "heart",
                         .policy = {.members = {"spiffe://heart/client/*"}},
                         .signer = CertificateSigner(one.identity, clock_),
                         .verifier = one.verifier.get()},
          folder_ / name);
    }
  }
  /// The list is written anew, with this member on it.
  void Revoked(const std::string& identity) {
    RevokeOptions options{.authority_dir = folder_ / "authority"};
    if (!identity.empty()) options.identity = identity;
    const auto outcome = Revoke(options, clock_);
    ASSERT_TRUE(outcome.ok()) << MessageOf(outcome);
  }
  Result<SecureMember::Answer> Ask(Site& site, std::uint32_t session, std::string_view phase,
                                   std::string body) {
    v1::PhaseRequest request;
    *request.mutable_key() = Plan(1).message().key();
    request.mutable_key()->set_session(session);
    request.set_phase(std::string(phase));
    request.set_body(std::move(body));
    return site.site->member()->Handle(request);
  }
  std::string Roster(std::uint32_t session) {
    v1::SessionRoster roster;
    for (Site& one : sites_) {
      EXPECT_TRUE(one.site
                      ->Hold("heart", Plan(1), Assigned("heart/maml"),
                             std::make_shared<RingVector>(RingBits::k32, kWords), {})
                      .ok());
      const auto answer = Ask(one, session, kAdvertisePhase, {});
      EXPECT_TRUE(answer.ok()) << MessageOf(answer);
      EXPECT_TRUE(roster.add_members()->ParseFromString(answer->body));
    }
    return roster.SerializeAsString();
  }

  const std::unique_ptr<Logger> logger_ = MakeNullLogger();
  std::vector<Site> sites_;
};

TEST_F(CertifiedSiteTest, ARevokedMemberThatIsAdvertisedAllTheSameGetsNoShares) {
  const std::string before = Roster(1);
  EXPECT_TRUE(Ask(sites_[0], 1, kSharePhase, before).ok());
  Revoked("spiffe://heart/client/d");
  sites_[0].identity->Look();
  const std::string roster = Roster(2);
  const auto shares = Ask(sites_[0], 2, kSharePhase, roster);
  ASSERT_FALSE(shares.ok());
  EXPECT_EQ(shares.error().code(), ErrorCode::kPermissionDenied);
  EXPECT_THAT(MessageOf(shares), HasSubstr("revoked"));
  // The session is over, and the others, who have not looked yet, wait for its shares in vain.
  EXPECT_THAT(MessageOf(Ask(sites_[0], 2, kSharePhase, roster)), HasSubstr("no session"));
  EXPECT_TRUE(Ask(sites_[1], 2, kSharePhase, roster).ok());
}

}  // namespace
}  // namespace fedmeta
