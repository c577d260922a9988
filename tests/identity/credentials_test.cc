#include "fedmeta/identity/credentials.h"

#include "pki_fixture.h"
#include <gmock/gmock.h>

#include "fedmeta/core/file.h"

namespace fedmeta {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class CredentialsTest : public PkiTest {
 protected:
  /// A signed client, and its files.
  v1::Identity Client(const std::string& name = "site-1", int days = 365) {
    const auto request = Request("spiffe://heart/client/" + name);
    const auto identity = Sign(request, "authority", std::chrono::days(days));
    EXPECT_TRUE(identity.ok()) << MessageOf(identity);
    return Files(request);
  }
  Result<Credentials> Load(const v1::Identity& files, IdentityRole role = IdentityRole::kClient) {
    return LoadCredentials(files, role, clock_);
  }
};

TEST_F(CredentialsTest, GoodFilesLoad) {
  Authority();
  const auto credentials = Load(Client());
  ASSERT_TRUE(credentials.ok()) << MessageOf(credentials);
  EXPECT_EQ(credentials.value().identity.ToString(), "spiffe://heart/client/site-1");
  EXPECT_NEAR(credentials.value().days_left, 365, 0.01);
}

TEST_F(CredentialsTest, CoordinatorLoads) {
  Authority();
  const auto request = Request("spiffe://heart/coordinator/main", {"localhost"});
  ASSERT_TRUE(Sign(request).ok());
  const auto credentials = Load(Files(request), IdentityRole::kCoordinator);
  EXPECT_TRUE(credentials.ok()) << MessageOf(credentials);
}

TEST_F(CredentialsTest, MissingFileIsNamedWithItsKey) {
  Authority();
  v1::Identity files = Client();
  files.set_key((folder_ / "absent.key").string());
  EXPECT_THAT(MessageOf(Load(files)),
              AllOf(HasSubstr("identity.key"), HasSubstr("absent.key"), HasSubstr("No such file")));
}

TEST_F(CredentialsTest, UnsetFileIsNamed) {
  Authority();
  v1::Identity files = Client();
  files.clear_trust();
  EXPECT_THAT(MessageOf(Load(files)), HasSubstr("identity.trust is missing"));
}

TEST_F(CredentialsTest, KeyOfAnotherPartyIsRefused) {
  Authority();
  v1::Identity files = Client("site-1");
  files.set_key(Client("site-2").key());
  EXPECT_THAT(
      MessageOf(Load(files)),
      AllOf(HasSubstr("site-2.key"), HasSubstr("does not belong to"), HasSubstr("site-1.pem")));
}

TEST_F(CredentialsTest, ExpiredCertificateIsRefused) {
  Authority();
  const v1::Identity files = Client("site-1", 30);
  clock_.Advance(std::chrono::days(31));
  EXPECT_THAT(MessageOf(Load(files)),
              AllOf(HasSubstr("site-1.pem expired on"), HasSubstr("sign a new request")));
}

TEST_F(CredentialsTest, CertificateOfTheFutureIsRefused) {
  Authority();
  const v1::Identity files = Client();
  clock_.Advance(-std::chrono::days(1));
  EXPECT_THAT(MessageOf(Load(files)),
              AllOf(HasSubstr("is not valid before"), HasSubstr("check the clock")));
}

TEST_F(CredentialsTest, ExpiredAuthorityIsRefused) {
  Authority();
  v1::Identity files = Client("site-1", 30);
  ASSERT_TRUE(
      InitAuthority(
          {.dir = folder_ / "short", .federation = "heart", .validity = std::chrono::days(1)},
          clock_)
          .ok());
  files.set_trust((folder_ / "short" / "authority.pem").string());
  clock_.Advance(std::chrono::days(2));
  EXPECT_THAT(MessageOf(Load(files)), HasSubstr("short/authority.pem expired on"));
}

TEST_F(CredentialsTest, CertificateOfAnotherAuthorityIsRefused) {
  Authority();
  v1::Identity files = Client();
  files.set_trust((Authority("heart", "other") / "authority.pem").string());
  EXPECT_THAT(MessageOf(Load(files)),
              AllOf(HasSubstr("site-1.pem is not issued by the authority in"),
                    HasSubstr("other/authority.pem")));
}

TEST_F(CredentialsTest, CertificateOfAnotherRoleIsRefused) {
  Authority();
  EXPECT_THAT(MessageOf(Load(Client(), IdentityRole::kCoordinator)),
              HasSubstr("a coordinator's certificate is needed here"));
}

TEST_F(CredentialsTest, CertificateWithoutOneUriNameIsRefused) {
  const auto authority = Authority();
  v1::Identity files = Client();
  if (std::system(("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "
                   "/CN=x -days 2 -keyout " +
                   files.key() + " -out " + files.certificate() + " 2>/dev/null")
                      .c_str()) != 0) {
    GTEST_SKIP() << "the openssl command is missing (Debian package openssl)";
  }
  EXPECT_THAT(MessageOf(Load(files)), HasSubstr("has 0 URI names"));
}

TEST_F(CredentialsTest, AuthorityItselfIsNoParty) {
  const auto authority = Authority();
  v1::Identity files = Client();
  files.set_certificate((authority / "authority.pem").string());
  files.set_key((authority / "authority.key").string());
  EXPECT_THAT(MessageOf(Load(files)), HasSubstr("lacks a role or a name"));
}

TEST_F(CredentialsTest, SwappedFilesAreNamed) {
  Authority();
  v1::Identity files = Client();
  const std::string certificate = files.certificate();
  files.set_certificate(files.key());
  files.set_key(certificate);
  EXPECT_THAT(MessageOf(Load(files)), HasSubstr("site-1.key holds no certificate in PEM form"));
}

TEST_F(CredentialsTest, TruncatedCertificateIsRefused) {
  Authority();
  const v1::Identity files = Client();
  const std::string whole = ReadFile(files.certificate()).value();
  ASSERT_TRUE(WriteFileAtomically(files.certificate(), whole.substr(0, whole.size() / 2)).ok());
  EXPECT_THAT(MessageOf(Load(files)), HasSubstr("site-1.pem holds no certificate in PEM form"));
}

}  // namespace
}  // namespace fedmeta
