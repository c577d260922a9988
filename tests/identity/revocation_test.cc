#include "fedmeta/identity/revocation.h"

#include <array>
#include <cstdio>

#include "pki_fixture.h"
#include <gmock/gmock.h>

#include "fedmeta/core/file.h"
#include "fedmeta/core/logger.h"
#include "fedmeta/identity/live_identity.h"

namespace fedmeta {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

/// Keeps "event key=value ..." lines.
class Lines final : public Logger {
 public:
  void Log(LogLevel, std::string_view event, std::initializer_list<LogField> fields) override {
    std::string line(event);
    for (const LogField& field : fields) line += " " + std::string(field.key) + "=" + field.value;
    lines.push_back(line);
  }
  std::vector<std::string> lines;
};

class RevocationTest : public PkiTest {
 protected:
  RevocationTest() { Authority(); }

  v1::Identity Party(const std::string& role, const std::string& name,
                     std::chrono::seconds validity = std::chrono::days(365)) {
    const auto request = Request("spiffe://heart/" + role + "/" + name);
    EXPECT_TRUE(Sign(request, "authority", validity).ok());
    return Files(request);
  }
  std::string Serial(const v1::Identity& files) {
    return DescribeCertificate(files.certificate(), clock_).value().serial_hex;
  }
  RevokeOutcome RevokeIdentity(const std::optional<std::string>& identity,
                               std::chrono::seconds validity = std::chrono::days(30),
                               const std::string& authority = "authority") {
    const auto outcome = Revoke({.authority_dir = folder_ / authority,
                                 .identity = identity,
                                 .serial_hex = {},
                                 .validity = validity},
                                clock_);
    EXPECT_TRUE(outcome.ok()) << MessageOf(outcome);
    return outcome.value();
  }
  std::filesystem::path List() const { return folder_ / "authority" / "denylist.pem"; }
  v1::Identity Coordinator() {
    v1::Identity files = Party("coordinator", "main");
    files.set_revocation_list(List().string());
    return files;
  }
  Result<std::shared_ptr<LiveIdentity>> Open(const v1::Identity& files) {
    return LiveIdentity::Open(files, IdentityRole::kCoordinator, clock_, log_);
  }
  static std::string Pem(const v1::Identity& files) {
    return ReadFile(files.certificate()).value();
  }
  void Replace(const std::filesystem::path& path, const std::string& content) {
    EXPECT_TRUE(WriteFileAtomically(path, content).ok());
  }
  static ErrorCode CodeOf(const Status& status) {
    return status.ok() ? ErrorCode::kInternal : status.error().code();
  }

  Lines log_;
};

TEST_F(RevocationTest, RevokingAnIdentityListsAllItsCertificates) {
  const v1::Identity site = Party("client", "site-1");
  const RevokeOutcome outcome = RevokeIdentity("spiffe://heart/client/site-1");
  EXPECT_THAT(outcome.serials, ElementsAre(Serial(site)));
  const auto lists = DescribeRevocationLists(outcome.list).value();
  ASSERT_THAT(lists, SizeIs(1));
  ASSERT_THAT(lists[0].revoked, SizeIs(1));
  EXPECT_EQ(lists[0].revoked[0].first, Serial(site));
  EXPECT_EQ(lists[0].revoked[0].second, FormatUtc(clock_.Wall()));
  EXPECT_EQ(lists[0].number, 1U);
}

TEST_F(RevocationTest, RefreshingKeepsWhatIsRevokedAndCountsUp) {
  const v1::Identity site = Party("client", "site-1");
  RevokeIdentity("spiffe://heart/client/site-1");
  clock_.Advance(std::chrono::days(20));
  const RevokeOutcome outcome = RevokeIdentity(std::nullopt);
  EXPECT_THAT(outcome.serials, IsEmpty());
  EXPECT_EQ(outcome.revoked, 1U);
  const auto list = DescribeRevocationLists(outcome.list).value().front();
  EXPECT_EQ(list.number, 2U);
  EXPECT_EQ(list.next_update, FormatUtc(clock_.Wall() + std::chrono::days(30)));
  EXPECT_THAT(list.revoked, SizeIs(1));
}

TEST_F(RevocationTest, WhatWasNeverIssuedIsNotRevoked) {
  const auto outcome = Revoke(
      {.authority_dir = folder_ / "authority", .identity = "spiffe://heart/client/nobody"}, clock_);
  EXPECT_THAT(MessageOf(outcome), HasSubstr("spiffe://heart/client/nobody; nothing was revoked"));
  EXPECT_FALSE(std::filesystem::exists(List()));
}

TEST_F(RevocationTest, OpenSslAgreesWithTheList) {
  if (std::system("openssl version >/dev/null 2>&1") != 0)
    GTEST_SKIP() << "the openssl command is missing (Debian package openssl)";
  const v1::Identity one = Party("client", "site-1"), other = Party("client", "site-2");
  RevokeIdentity("spiffe://heart/client/site-1");
  const std::string verify =
      "openssl verify -crl_check -CAfile " + one.trust() + " -CRLfile " + List().string() + " ";
  EXPECT_NE(std::system((verify + one.certificate() + " >/dev/null 2>&1").c_str()), 0);
  EXPECT_EQ(std::system((verify + other.certificate() + " >/dev/null 2>&1").c_str()), 0);
}

TEST_F(RevocationTest, RevokedPeerIsRefusedAndOthersAreNot) {
  const v1::Identity one = Party("client", "site-1"), other = Party("client", "site-2");
  RevokeIdentity("spiffe://heart/client/site-1");
  const auto live = Open(Coordinator());
  ASSERT_TRUE(live.ok()) << MessageOf(live);
  EXPECT_EQ(CodeOf(live.value()->CheckPeer(Pem(one))), ErrorCode::kPermissionDenied);
  EXPECT_TRUE(live.value()->CheckPeer(Pem(other)).ok());
}

TEST_F(RevocationTest, RevocationReachesARunningProcess) {
  const v1::Identity site = Party("client", "site-1");
  RevokeIdentity(std::nullopt);
  const auto live = Open(Coordinator()).value();
  int changes = 0;
  live->OnChange([&] { ++changes; });
  live->Look();
  EXPECT_EQ(changes, 0);
  EXPECT_TRUE(live->CheckPeer(Pem(site)).ok());
  RevokeIdentity("spiffe://heart/client/site-1");
  live->Look();
  EXPECT_EQ(changes, 1);
  EXPECT_EQ(CodeOf(live->CheckPeer(Pem(site))), ErrorCode::kPermissionDenied);
}

TEST_F(RevocationTest, CertificatesOnEveryPlaceOfTheChainCount) {
  const v1::Identity good = Party("client", "site-1"), bad = Party("client", "site-2");
  RevokeIdentity("spiffe://heart/client/site-2");
  const auto live = Open(Coordinator()).value();
  EXPECT_EQ(CodeOf(live->CheckPeer(Pem(good) + Pem(bad))), ErrorCode::kPermissionDenied);
}

TEST_F(RevocationTest, MissingListRefusesTheStart) {
  EXPECT_THAT(MessageOf(Open(Coordinator())), HasSubstr("identity.revocation_list: cannot read"));
}

TEST_F(RevocationTest, StaleListRefusesTheStart) {
  RevokeIdentity(std::nullopt, std::chrono::hours(1));
  clock_.Advance(std::chrono::hours(2));
  const auto live = Open(Coordinator());
  EXPECT_THAT(MessageOf(live), HasSubstr("is stale since"));
  EXPECT_EQ(live.error().code(), ErrorCode::kInvalidArgument);
}

TEST_F(RevocationTest, ListOfAnotherAuthorityRefusesTheStart) {
  Authority("heart", "other");  // of the same name
  RevokeIdentity(std::nullopt, std::chrono::days(30), "other");
  Replace(List(), ReadFile(folder_ / "other" / "denylist.pem").value());
  EXPECT_THAT(MessageOf(Open(Coordinator())), HasSubstr("is not signed by an authority"));
}

TEST_F(RevocationTest, ListWithAChangedByteRefusesTheStart) {
  Party("client", "site-1");
  RevokeIdentity("spiffe://heart/client/site-1");
  std::string pem = ReadFile(List()).value();
  // The last character but one of the base64 text lies in the signature.
  const std::size_t at = pem.find("\n-----END") - 6;
  pem[at] = pem[at] == 'A' ? 'B' : 'A';
  Replace(List(), pem);
  EXPECT_FALSE(Open(Coordinator()).ok());
}

TEST_F(RevocationTest, OwnCertificateOnTheListRefusesTheStart) {
  const v1::Identity coordinator = Coordinator();
  RevokeIdentity("spiffe://heart/coordinator/main");
  EXPECT_THAT(MessageOf(Open(coordinator)), HasSubstr("is revoked"));
}

TEST_F(RevocationTest, ListThatGoesStaleRefusesEveryPeerUntilThereIsANewOne) {
  const v1::Identity site = Party("client", "site-1");
  RevokeIdentity(std::nullopt, std::chrono::hours(1));
  const auto live = Open(Coordinator()).value();
  EXPECT_TRUE(live->CheckPeer(Pem(site)).ok());
  clock_.Advance(std::chrono::hours(2));
  EXPECT_EQ(CodeOf(live->CheckPeer(Pem(site))), ErrorCode::kUnavailable);
  live->Look();
  EXPECT_THAT(log_.lines.back(), HasSubstr("revocation_list_unusable"));
  RevokeIdentity(std::nullopt, std::chrono::hours(1));
  live->Look();
  EXPECT_THAT(log_.lines.back(), HasSubstr("revocation_list_usable"));
  EXPECT_TRUE(live->CheckPeer(Pem(site)).ok());
}

TEST_F(RevocationTest, ListThatGoesMissingOrIsForgedRefusesEveryPeer) {
  const v1::Identity site = Party("client", "site-1");
  RevokeIdentity(std::nullopt);
  const auto live = Open(Coordinator()).value();
  const std::string good = ReadFile(List()).value();
  for (const std::string& bad : {std::string(), std::string("no list"), good.substr(0, 100)}) {
    Replace(List(), bad);
    live->Look();  // perhaps it is being written
    EXPECT_TRUE(live->CheckPeer(Pem(site)).ok());
    live->Look();
    EXPECT_EQ(CodeOf(live->CheckPeer(Pem(site))), ErrorCode::kUnavailable);
    Replace(List(), good);
    live->Look();
    EXPECT_TRUE(live->CheckPeer(Pem(site)).ok());
  }
  std::filesystem::remove(List());
  live->Look();
  live->Look();
  EXPECT_EQ(CodeOf(live->CheckPeer(Pem(site))), ErrorCode::kUnavailable);
}

TEST_F(RevocationTest, AnOlderListDoesNotBringARevokedPeerBack) {
  const v1::Identity site = Party("client", "site-1");
  RevokeIdentity(std::nullopt);
  const std::string older = ReadFile(List()).value();
  RevokeIdentity("spiffe://heart/client/site-1");
  const auto live = Open(Coordinator()).value();
  Replace(List(), older);
  live->Look();
  live->Look();
  EXPECT_FALSE(live->CheckPeer(Pem(site)).ok());
  EXPECT_THAT(log_.lines.back(), HasSubstr("older than list 2"));
}

TEST_F(RevocationTest, ExpiredPeerIsRefused) {
  const v1::Identity site = Party("client", "site-1", std::chrono::hours(1));
  const auto live = Open(Party("coordinator", "main")).value();
  EXPECT_TRUE(live->CheckPeer(Pem(site)).ok());
  clock_.Advance(std::chrono::hours(2));
  EXPECT_EQ(CodeOf(live->CheckPeer(Pem(site))), ErrorCode::kUnauthenticated);
}

TEST_F(RevocationTest, CoordinatorWithoutAListIsWarned) {
  ASSERT_TRUE(Open(Party("coordinator", "main")).ok());
  EXPECT_THAT(log_.lines, ElementsAre(HasSubstr("no_revocation_list")));
}

}  // namespace
}  // namespace fedmeta
