#include "fedmeta/identity/renewal.h"

#include "pki_fixture.h"
#include <gmock/gmock.h>

#include "fedmeta/core/file.h"
#include "fedmeta/core/logger.h"
#include "fedmeta/identity/live_identity.h"

namespace fedmeta {
namespace {

using ::testing::HasSubstr;

class RenewalTest : public PkiTest {
 protected:
  RenewalTest() {
    Authority();
    const auto request = Request("spiffe://heart/client/site-1");
    EXPECT_TRUE(Sign(request, "authority", std::chrono::days(60)).ok());
    files_ = Files(request);
    options_ = {.certificate = files_.certificate(), .key = files_.key()};
    clock_.Advance(std::chrono::days(40));
  }
  /// What the authority makes of the request that stands beside the certificate.
  std::filesystem::path Signed(std::chrono::seconds validity = std::chrono::days(365)) {
    const auto out = folder_ / "signed.pem";
    const auto identity = SignRequest({.authority_dir = folder_ / "authority",
                                       .request = RequestPath(),
                                       .certificate = out,
                                       .validity = validity},
                                      clock_);
    EXPECT_TRUE(identity.ok()) << MessageOf(identity);
    return out;
  }
  std::filesystem::path RequestPath() const {
    return std::filesystem::path(files_.certificate()).replace_extension(".csr");
  }
  Result<Credentials> Load() { return LoadCredentials(files_, IdentityRole::kClient, clock_); }
  std::string Key() { return ReadFile(files_.key()).value(); }
  std::shared_ptr<LiveIdentity> Open() {
    return LiveIdentity::Open(files_, IdentityRole::kClient, clock_, *log_).value();
  }

  v1::Identity files_;
  RenewalOptions options_;
  const std::unique_ptr<Logger> log_ = MakeNullLogger();
};

TEST_F(RenewalTest, NewKeyAndCertificateTakeTheirPlacesTogether) {
  const std::string old_key = Key();
  ASSERT_TRUE(RequestRenewal(options_).ok());
  EXPECT_EQ(Key(), old_key);
  const Status installed = InstallRenewal(options_, Signed(), clock_);
  ASSERT_TRUE(installed.ok()) << installed.error().message();
  EXPECT_NE(Key(), old_key);
  const auto credentials = Load();
  ASSERT_TRUE(credentials.ok()) << MessageOf(credentials);
  EXPECT_NEAR(credentials.value().days_left, 365, 0.01);
  EXPECT_EQ(credentials.value().identity.ToString(), "spiffe://heart/client/site-1");
}

TEST_F(RenewalTest, TheSameKeyMayStay) {
  options_.same_key = true;
  const std::string old_key = Key();
  ASSERT_TRUE(RequestRenewal(options_).ok());
  ASSERT_TRUE(InstallRenewal(options_, Signed(), clock_).ok());
  EXPECT_EQ(Key(), old_key);
  EXPECT_TRUE(Load().ok());
}

TEST_F(RenewalTest, ServerNamesAreAskedForAgain) {
  const auto request = Request("spiffe://heart/coordinator/main", {"fed.example.org"}, {"::1"});
  ASSERT_TRUE(Sign(request).ok());
  const v1::Identity files = Files(request);
  const auto renewed = RequestRenewal({.certificate = files.certificate(), .key = files.key()});
  const CertificateInfo info = DescribeCertificate(renewed.value(), clock_).value();
  EXPECT_THAT(info.dns_names, ::testing::ElementsAre("fed.example.org"));
  EXPECT_THAT(info.ip_addresses, ::testing::ElementsAre("::1"));
}

TEST_F(RenewalTest, AskingTwiceUsesTheKeyThatWaits) {
  ASSERT_TRUE(RequestRenewal(options_).ok());
  const auto signed_once = Signed();
  ASSERT_TRUE(RequestRenewal(options_).ok());
  EXPECT_TRUE(InstallRenewal(options_, signed_once, clock_).ok());
}

TEST_F(RenewalTest, InstallingAgainAfterACrashBetweenTheFilesCompletesIt) {
  ASSERT_TRUE(RequestRenewal(options_).ok());
  const auto fresh = Signed();
  std::filesystem::rename(files_.key() + ".next", files_.key());  // and then the lights went out
  EXPECT_FALSE(Load().ok());
  ASSERT_TRUE(InstallRenewal(options_, fresh, clock_).ok());
  EXPECT_TRUE(Load().ok());
}

TEST_F(RenewalTest, AnotherPartysCertificateIsNotInstalled) {
  const auto other = Request("spiffe://heart/client/site-2");
  ASSERT_TRUE(Sign(other).ok());
  const std::string before = ReadFile(files_.certificate()).value();
  const Status status = InstallRenewal(options_, CertificateOf(other), clock_);
  ASSERT_FALSE(status.ok());
  EXPECT_THAT(status.error().message(), HasSubstr("nothing was changed"));
  EXPECT_EQ(ReadFile(files_.certificate()).value(), before);
}

TEST_F(RenewalTest, ACertificateForAnotherKeyIsNotInstalled) {
  ASSERT_TRUE(RequestRenewal(options_).ok());
  const auto fresh = Signed();
  std::filesystem::remove(files_.key() + ".next");
  const Status status = InstallRenewal(options_, fresh, clock_);
  ASSERT_FALSE(status.ok());
  EXPECT_THAT(status.error().message(), HasSubstr("was signed for neither"));
  EXPECT_TRUE(Load().ok());
}

TEST_F(RenewalTest, ARunningProcessTakesTheNewPairOnlyWhole) {
  const auto live = Open();
  const auto old = live->credentials();
  ASSERT_TRUE(RequestRenewal(options_).ok());
  const auto fresh = Signed();
  std::filesystem::rename(files_.key() + ".next", files_.key());
  live->Look();
  EXPECT_EQ(live->credentials(), old);
  ASSERT_TRUE(InstallRenewal(options_, fresh, clock_).ok());
  live->Look();
  EXPECT_NE(live->credentials(), old);
  EXPECT_EQ(live->credentials()->certificate_pem, ReadFile(fresh).value());
  EXPECT_EQ(live->credentials()->key_pem.Expose(), Key());
}

TEST_F(RenewalTest, ARunningProcessKeepsItsIdentity) {
  const auto live = Open();
  const auto old = live->credentials();
  const auto other = Request("spiffe://heart/client/site-2");
  ASSERT_TRUE(Sign(other).ok());
  std::filesystem::copy_file(CertificateOf(other), files_.certificate(),
                             std::filesystem::copy_options::overwrite_existing);
  std::filesystem::copy_file(Files(other).key(), files_.key(),
                             std::filesystem::copy_options::overwrite_existing);
  live->Look();
  EXPECT_EQ(live->credentials(), old);
}

TEST_F(RenewalTest, AnEndThatIsNearIsSaidThirtyDaysBefore) {
  // 20 of 60 days are left.
  EXPECT_THAT(Open()->Warning().value_or(""), HasSubstr("expires in 20 days"));
  ASSERT_TRUE(RequestRenewal(options_).ok());
  ASSERT_TRUE(InstallRenewal(options_, Signed(std::chrono::days(31)), clock_).ok());
  EXPECT_EQ(Open()->Warning(), std::nullopt);
}

}  // namespace
}  // namespace fedmeta
