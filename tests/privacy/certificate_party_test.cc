// Members as they are live: certificates of an authority, its list of revoked ones, organisations.
#include "fedmeta/privacy/certificate_party.h"

#include "secure_fixture.h"
#include <gmock/gmock.h>

#include "fedmeta/core/file.h"
#include "fedmeta/core/logger.h"
#include "fedmeta/identity/live_identity.h"
#include "fedmeta/identity/revocation.h"
#include "fedmeta/tests/identity/pki_fixture.h"
#include "fedmeta/v1/secure.pb.h"

namespace fedmeta {
namespace {

using ::testing::HasSubstr;

class CertificatePartyTest : public PkiTest {
 protected:
  struct Site {
    std::shared_ptr<LiveIdentity> identity;
    std::unique_ptr<PeerVerifier> verifier;
    std::unique_ptr<OpeningLatch> latch = OpeningsInMemory();
    std::optional<SecureClient> client = {};
  };

  CertificatePartyTest() {
    Authority();
    RefreshList();
  }
  void RefreshList() {
    const auto outcome = Revoke({.authority_dir = folder_ / "authority"}, clock_);
    ASSERT_TRUE(outcome.ok()) << MessageOf(outcome);
  }
  std::string CertificateFor(const std::string& name, const std::string& organisation = {},
                             const std::string& authority = "authority") {
    const auto request = Request("spiffe://heart/client/" + name);
    SignOptions options{.authority_dir = folder_ / authority,
                        .request = request,
                        .certificate = CertificateOf(request)};
    if (!organisation.empty()) options.organisation = organisation;
    const auto signed_for = SignRequest(options, clock_);
    EXPECT_TRUE(signed_for.ok()) << MessageOf(signed_for);
    return request;
  }
  Site Admit(const std::string& name, const std::string& organisation = {}) {
    v1::Identity files = Files(CertificateFor(name, organisation));
    files.set_revocation_list(folder_ / "authority" / "denylist.pem");
    Site site;
    site.identity = Must(LiveIdentity::Open(files, IdentityRole::kClient, clock_, *logger_));
    site.verifier = CertificateVerifier(*site.identity, clock_);
    site.client.emplace(
        Must(SecureClient::Create({.federation = "heart",
                                   .policy = {.members = {"spiffe://heart/client/*"}},
                                   .signer = CertificateSigner(site.identity, clock_),
                                   .verifier = site.verifier.get(),
                                   .latch = site.latch.get()})));
    return site;
  }
  static std::string RosterOf(std::vector<Site>& sites, std::uint32_t session) {
    v1::SessionRoster roster;
    for (Site& site : sites) {
      EXPECT_TRUE(
          roster.add_members()->ParseFromString(Must(site.client->Advertise(SomeStart(session)))));
    }
    return roster.SerializeAsString();
  }

  const std::unique_ptr<Logger> logger_ = MakeNullLogger();
};

TEST_F(CertificatePartyTest, ASessionOfCertificatesOpensThePlainSum) {
  std::vector<Site> sites;
  for (const char* name : {"site-1", "site-2", "site-3"}) sites.push_back(Admit(name));
  const SecureClient::Start start = SomeStart();
  SecureServer server({.federation = "heart",
                       .key = start.key,
                       .plan_hash = start.plan_hash,
                       .model_hash = start.model_hash,
                       .bits = start.bits,
                       .words = start.words,
                       .verifier = sites[0].verifier.get()});
  const auto id = [](std::size_t i) { return ClientId("site-" + std::to_string(i + 1)); };
  for (std::size_t i = 0; i < 3; ++i)
    Must(server.AddAdvertisement(id(i), Must(sites[i].client->Advertise(start))));
  const std::string roster = Must(server.Roster());
  for (std::size_t i = 0; i < 3; ++i)
    Must(server.AddShares(id(i), Must(sites[i].client->Share(roster))));
  MaskedSum sum(RingVector(start.bits, start.words));
  RingVector plain(start.bits, start.words);
  Rng rng({.seed = 1, .purpose = "test"});
  for (std::size_t i = 0; i < 3; ++i) {
    const RingVector vector = RandomVector(start.bits, start.words, rng);
    Must(plain.Add(vector));
    const auto masked = Must(sites[i].client->Mask(Must(server.Delivery(id(i))), vector));
    Must(server.AddReceipt(id(i), masked.receipt, Digest::Of(masked.vector)));
    Must(sum.Add(masked.vector));
  }
  const std::string request = Must(server.OpeningRequest());
  for (std::size_t i = 0; i < 3; ++i)
    Must(server.AddOpening(id(i), Must(sites[i].client->Open(request))));
  EXPECT_TRUE(std::move(sum).Unmask(Must(server.Reconstruct())) == plain);
}

TEST_F(CertificatePartyTest, ARevokedMemberIsRefusedAndSoIsAStaleList) {
  std::vector<Site> sites;
  for (const char* name : {"site-1", "site-2", "site-3", "site-4"}) sites.push_back(Admit(name));
  EXPECT_TRUE(sites[0].client->Share(RosterOf(sites, 1)).ok());
  ASSERT_TRUE(
      Revoke({.authority_dir = folder_ / "authority", .identity = "spiffe://heart/client/site-4"},
             clock_)
          .ok());
  const std::string roster = RosterOf(sites, 2);
  sites[0].identity->Look();
  const auto shares = sites[0].client->Share(roster);
  ASSERT_FALSE(shares.ok());
  EXPECT_EQ(shares.error().code(), ErrorCode::kPermissionDenied) << Said(shares);
  EXPECT_THAT(Said(shares), HasSubstr("revoked"));
  sites.pop_back();
  clock_.Advance(std::chrono::days(31));  // the list is good for thirty
  const auto stale = sites[0].client->Share(RosterOf(sites, 3));
  ASSERT_FALSE(stale.ok());
  EXPECT_EQ(stale.error().code(), ErrorCode::kUnavailable) << Said(stale);
}

TEST_F(CertificatePartyTest, OneClientOfAnOrganisationWhateverTheyAreCalled) {
  std::vector<Site> sites;
  sites.push_back(Admit("site-1", "clinic"));
  sites.push_back(Admit("site-2", "hospital"));
  sites.push_back(Admit("site-3", "clinic"));
  EXPECT_THAT(Said(sites[1].client->Share(RosterOf(sites, 1))),
              HasSubstr("site-3: it belongs to the organisation of spiffe://heart/client/site-1"));
}

TEST_F(CertificatePartyTest, AnotherAuthorityOrRoleProvesNothing) {
  const Site site = Admit("site-1");
  Authority("heart", "elsewhere");
  const auto request = Request("spiffe://heart/client/site-9");
  ASSERT_TRUE(Sign(request, "elsewhere").ok());
  EXPECT_FALSE(site.verifier->Verify(ReadFile(CertificateOf(request)).value()).ok());
  const auto coordinator = Request("spiffe://heart/coordinator/main");
  ASSERT_TRUE(Sign(coordinator).ok());
  EXPECT_THAT(Said(site.verifier->Verify(ReadFile(CertificateOf(coordinator)).value())),
              HasSubstr("is no client"));
  EXPECT_FALSE(site.verifier->Verify("no certificate").ok());
  EXPECT_FALSE(site.verifier->Verify("").ok());
}

TEST_F(CertificatePartyTest, AnOrganisationHasAForm) {
  const auto request = Request("spiffe://heart/client/site-1");
  for (const std::string& organisation :
       {std::string(), std::string(65, 'a'), std::string("a\nb")}) {
    const auto said = SignRequest({.authority_dir = folder_ / "authority",
                                   .request = request,
                                   .certificate = CertificateOf(request),
                                   .organisation = organisation},
                                  clock_);
    EXPECT_THAT(MessageOf(said), HasSubstr("an organisation must be 1 to 64 bytes"));
  }
}

}  // namespace
}  // namespace fedmeta
