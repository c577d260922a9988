#include "fedmeta/identity/signature.h"

#include "pki_fixture.h"
#include <gmock/gmock.h>

#include "fedmeta/core/file.h"

namespace fedmeta {
namespace {

using testing::HasSubstr;

class SignatureTest : public PkiTest {
 protected:
  SignatureTest() {
    Authority();
    request_ = Request("spiffe://heart/client/site-1");
    EXPECT_TRUE(PkiTest::Sign(request_).ok());
    credentials_ = LoadCredentials(Files(request_), IdentityRole::kClient, clock_).value();
    signature_ = SignStatement(credentials_, "greeting", "hello").value();
  }
  Result<IdentityUri> Check(std::string_view domain, std::string_view statement,
                            std::string_view signature, IdentityRole role = IdentityRole::kClient) {
    return CheckStatement({.domain = domain,
                           .statement = statement,
                           .signature = signature,
                           .certificates_pem = credentials_.certificate_pem},
                          credentials_.trust_pem, role, clock_.Wall());
  }

  std::filesystem::path request_;
  Credentials credentials_;
  std::string signature_;
};

TEST_F(SignatureTest, NamesWhoSigned) {
  const auto signer = Check("greeting", "hello", signature_);
  ASSERT_TRUE(signer.ok()) << MessageOf(signer);
  EXPECT_EQ(signer->ToString(), "spiffe://heart/client/site-1");
}

TEST_F(SignatureTest, IsOfOneStatementInOneDomain) {
  EXPECT_FALSE(Check("greeting", "hellO", signature_).ok());
  EXPECT_FALSE(Check("farewell", "hello", signature_).ok());
  std::string flipped = signature_;
  flipped.back() = static_cast<char>(flipped.back() ^ 1);
  EXPECT_FALSE(Check("greeting", "hello", flipped).ok());
  EXPECT_FALSE(Check("greeting", "hello", "").ok());
}

TEST_F(SignatureTest, IsOfOneRole) {
  EXPECT_THAT(MessageOf(Check("greeting", "hello", signature_, IdentityRole::kCoordinator)),
              HasSubstr("is no coordinator"));
}

TEST_F(SignatureTest, OfAnotherAuthorityIsRefused) {
  Authority("heart", "other");
  const std::string trust = ReadFile(folder_ / "other/authority.pem").value();
  EXPECT_FALSE(CheckStatement({.domain = "greeting",
                               .statement = "hello",
                               .signature = signature_,
                               .certificates_pem = credentials_.certificate_pem},
                              trust, IdentityRole::kClient, clock_.Wall())
                   .ok());
}

TEST_F(SignatureTest, OfACertificateThatHadExpiredIsRefused) {
  clock_.Advance(std::chrono::hours(24 * 366));
  EXPECT_THAT(MessageOf(Check("greeting", "hello", signature_)), HasSubstr("expired"));
}

TEST_F(SignatureTest, TheAuthorityIsToldFromOthers) {
  const std::string own = SignAsAuthority(folder_ / "authority", "epoch", "2").value();
  EXPECT_TRUE(CheckAuthority("epoch", "2", own, credentials_.trust_pem).ok());
  EXPECT_FALSE(CheckAuthority("epoch", "3", own, credentials_.trust_pem).ok());
  Authority("heart", "other");
  const std::string other = SignAsAuthority(folder_ / "other", "epoch", "2").value();
  EXPECT_FALSE(CheckAuthority("epoch", "2", other, credentials_.trust_pem).ok());
}

}  // namespace
}  // namespace fedmeta
