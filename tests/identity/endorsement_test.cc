#include "fedmeta/identity/endorsement.h"

#include "pki_fixture.h"
#include <gmock/gmock.h>

#include "fedmeta/core/file.h"
#include "fedmeta/core/logger.h"
#include "fedmeta/identity/live_identity.h"
#include "fedmeta/identity/revocation.h"
#include "fedmeta/identity/signature.h"
#include "fedmeta/v1/endorsement.pb.h"

namespace fedmeta {
namespace {

using testing::HasSubstr;

class EndorsementTest : public PkiTest {
 protected:
  EndorsementTest() {
    Authority();
    lea_ = Party("researcher", "lea", IdentityRole::kResearcher);
    endorsement_ = MakeEndorsement(lea_, "heart-study", offer_, clock_.Wall()).value();
  }
  Credentials Party(const std::string& role, const std::string& name, IdentityRole expected) {
    const auto request = Request("spiffe://heart/" + role + "/" + name);
    EXPECT_TRUE(PkiTest::Sign(request).ok());
    return LoadCredentials(Files(request), expected, clock_).value();
  }
  Result<IdentityUri> Check(std::string_view endorsement) {
    return CheckEndorsement(endorsement, offer_, lea_.trust_pem, clock_.Wall());
  }

  const Digest offer_ = Digest::Of("what sites approve");
  Credentials lea_;
  std::string endorsement_;
};

TEST_F(EndorsementTest, NamesTheResearcher) {
  const auto signer = Check(endorsement_);
  ASSERT_TRUE(signer.ok()) << MessageOf(signer);
  EXPECT_EQ(signer->ToString(), "spiffe://heart/researcher/lea");
}

TEST_F(EndorsementTest, NoneIsSaidAsSuch) {
  EXPECT_EQ(Check("").error().code(), ErrorCode::kNotFound);
  EXPECT_THAT(MessageOf(Check("")), HasSubstr("no researcher has signed it"));
}

TEST_F(EndorsementTest, IsOfOneOffer) {
  EXPECT_THAT(MessageOf(CheckEndorsement(endorsement_, Digest::Of("changed"), lea_.trust_pem,
                                         clock_.Wall())),
              HasSubstr("spiffe://heart/researcher/lea signed another experiment"));
}

TEST_F(EndorsementTest, AnotherStatementUnderTheSameSignatureIsRefused) {
  v1::Endorsement endorsement;
  ASSERT_TRUE(endorsement.ParseFromString(endorsement_));
  v1::EndorsedExperiment statement;
  ASSERT_TRUE(statement.ParseFromString(endorsement.statement()));
  statement.set_offer_hash(Digest::Of("changed").bytes());
  endorsement.set_statement(statement.SerializeAsString());
  EXPECT_THAT(MessageOf(CheckEndorsement(endorsement.SerializeAsString(), Digest::Of("changed"),
                                         lea_.trust_pem, clock_.Wall())),
              HasSubstr("not made with the key"));
}

TEST_F(EndorsementTest, OfAnotherPurposeIsRefused) {
  v1::Endorsement endorsement;
  ASSERT_TRUE(endorsement.ParseFromString(endorsement_));
  endorsement.set_signature(
      SignStatement(lea_, "fedmeta audit head v1", endorsement.statement()).value());
  EXPECT_FALSE(Check(endorsement.SerializeAsString()).ok());
}

TEST_F(EndorsementTest, OfASiteOrACoordinatorIsRefused) {
  const Credentials site = Party("client", "site-1", IdentityRole::kClient);
  const auto by_site = MakeEndorsement(site, "heart-study", offer_, clock_.Wall());
  EXPECT_THAT(MessageOf(Check(by_site.value())), HasSubstr("is no researcher"));
}

TEST_F(EndorsementTest, OfAnotherAuthorityIsRefused) {
  Authority("heart", "other");
  const std::string other = ReadFile(folder_ / "other/authority.pem").value();
  EXPECT_FALSE(CheckEndorsement(endorsement_, offer_, other, clock_.Wall()).ok());
}

TEST_F(EndorsementTest, OfAnExpiredCertificateIsRefused) {
  clock_.Advance(std::chrono::hours(24 * 366));
  EXPECT_THAT(MessageOf(Check(endorsement_)), HasSubstr("expired"));
}

TEST_F(EndorsementTest, BytesThatAreNoneAreRefused) {
  EXPECT_EQ(Check("\xff\xff").error().code(), ErrorCode::kPermissionDenied);
  EXPECT_FALSE(Check(std::string(kMaximumEndorsementBytes + 1, 'a')).ok());
}

TEST_F(EndorsementTest, OfARevokedResearcherIsRefusedWhereThereIsAList) {
  const auto request = Request("spiffe://heart/client/site-2");
  ASSERT_TRUE(PkiTest::Sign(request).ok());
  v1::Identity files = Files(request);
  const RevokeOptions refresh{.authority_dir = folder_ / "authority"};
  files.set_revocation_list(Revoke(refresh, clock_).value().list);
  const auto logger = MakeNullLogger();
  const auto site = LiveIdentity::Open(files, IdentityRole::kClient, clock_, *logger).value();
  ASSERT_TRUE(CheckEndorsement(endorsement_, offer_, *site, clock_.Wall()).ok());
  ASSERT_TRUE(
      Revoke({.authority_dir = folder_ / "authority", .identity = "spiffe://heart/researcher/lea"},
             clock_)
          .ok());
  site->Look();
  EXPECT_THAT(MessageOf(CheckEndorsement(endorsement_, offer_, *site, clock_.Wall())),
              HasSubstr("revoked"));
}

}  // namespace
}  // namespace fedmeta
