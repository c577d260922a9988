#include <array>
#include <cstdio>
#include <cstdlib>

#include "transport_fixture.h"

#include "fedmeta/core/file.h"

namespace fedmeta {
namespace {

using ::testing::AllOf;
using ::testing::AnyOf;
using ::testing::HasSubstr;
using ::testing::Not;

class TlsTest : public TransportTest {
 protected:
  TlsTest() { StartServer(); }

  /// Credentials with another certificate than the authority would give.
  Result<v1::Welcome> JoinAs(const Credentials& credentials) {
    return Link(Address(server_->port()), Keep(credentials))->Join({}, {});
  }
  /// A member is served as ever.
  void ExpectServerUnaffected() {
    const auto welcome = JoinAs(Identity("spiffe://heart/client/site-1"));
    EXPECT_TRUE(welcome.ok()) << MessageOf(welcome);
  }
  /// The certificate of `from` with the trust of this federation, as a stranger would dial.
  Credentials Stranger(const Credentials& from) {
    return {.certificate_pem = from.certificate_pem,
            .key_pem = SecretBytes(from.key_pem.Expose()),
            .trust_pem = ReadFile(folder_ / "authority" / "authority.pem").value(),
            .identity = from.identity};
  }
  static std::shared_ptr<FixedIdentity> Keep(const Credentials& from) {
    return std::make_shared<FixedIdentity>(
        Credentials{.certificate_pem = from.certificate_pem,
                    .key_pem = SecretBytes(from.key_pem.Expose()),
                    .trust_pem = from.trust_pem,
                    .identity = from.identity});
  }
  std::string Output(const std::string& command) {
    std::FILE* pipe = ::popen((command + " 2>&1").c_str(), "r");
    std::string text;
    std::array<char, 4096> part{};
    while (std::fgets(part.data(), static_cast<int>(part.size()), pipe) != nullptr)
      text += part.data();
    ::pclose(pipe);
    return text;
  }
  bool HasOpenSsl() { return std::system("openssl version >/dev/null 2>&1") == 0; }
};

TEST_F(TlsTest, CertificateOfAnotherAuthorityIsRefusedAndSaidSo) {
  MakeAuthority("other");
  const auto welcome = JoinAs(Stranger(Identity("spiffe://heart/client/site-1", "other")));
  EXPECT_EQ(CodeOf(welcome), "unauthenticated");
  EXPECT_THAT(MessageOf(welcome), HasSubstr("refused this site's certificate"));
  EXPECT_EQ(endpoint_.calls("join site-1"), 0);
  ExpectServerUnaffected();
}

TEST_F(TlsTest, ExpiredCertificateIsRefused) {
  ManualClock two_years_ago;
  two_years_ago.Advance(std::chrono::duration_cast<Duration>(clock_.Wall().time_since_epoch()) -
                        std::chrono::days(730));
  ASSERT_TRUE(InitAuthority({.dir = folder_ / "old", .federation = "heart"}, two_years_ago).ok());
  server_.reset();
  auto server = GrpcServer::Start(
      {.listen = "127.0.0.1:0", .members = {"spiffe://heart/client/*"}, .limits = {}},
      Fixed("spiffe://heart/coordinator/main", "old"), endpoint_, server_log_);
  ASSERT_TRUE(server.ok()) << MessageOf(server);
  server_ = std::move(server).value();
  const auto welcome = JoinAs(Identity("spiffe://heart/client/site-1", "old", &two_years_ago));
  EXPECT_EQ(CodeOf(welcome), "unauthenticated");
  EXPECT_EQ(endpoint_.calls("join site-1"), 0);
  EXPECT_TRUE(JoinAs(Identity("spiffe://heart/client/site-2", "old")).ok());
}

TEST_F(TlsTest, SelfSignedCertificateIsRefused) {
  // An authority's certificate is a self-signed one.
  MakeAuthority("self");
  Credentials self = Stranger(Identity("spiffe://heart/client/site-1", "self"));
  self.certificate_pem = ReadFile(folder_ / "self" / "authority.pem").value();
  self.key_pem = SecretBytes(ReadFile(folder_ / "self" / "authority.key").value());
  EXPECT_EQ(CodeOf(JoinAs(self)), "unauthenticated");
  ExpectServerUnaffected();
}

TEST_F(TlsTest, PeerWithoutCertificateIsRefused) {
  if (!HasOpenSsl()) GTEST_SKIP() << "the openssl command is missing (Debian package openssl)";
  const std::string answer =
      Output("openssl s_client -connect 127.0.0.1:" + std::to_string(server_->port()) +
             " -tls1_3 -alpn h2 -ign_eof -CAfile " +
             (folder_ / "authority" / "authority.pem").string() + " </dev/null");
  EXPECT_THAT(answer, AnyOf(HasSubstr("certificate required"), HasSubstr("errno=104"),
                            HasSubstr("unexpected eof"), HasSubstr("closed")));
  ExpectServerUnaffected();
}

TEST_F(TlsTest, OlderTlsIsRefusedAndTls13Accepted) {
  if (!HasOpenSsl()) GTEST_SKIP() << "the openssl command is missing (Debian package openssl)";
  const Credentials member = Identity("spiffe://heart/client/site-1");
  ASSERT_TRUE(WriteFileAtomically(folder_ / "c.pem", member.certificate_pem).ok());
  ASSERT_TRUE(WriteFileAtomically(folder_ / "c.key", member.key_pem.Expose(), 0600).ok());
  const std::string command =
      "openssl s_client -connect 127.0.0.1:" + std::to_string(server_->port()) +
      " -alpn h2 -cert " + (folder_ / "c.pem").string() + " -key " + (folder_ / "c.key").string() +
      " -CAfile " + (folder_ / "authority" / "authority.pem").string() + " -brief ";
  EXPECT_THAT(Output(command + "-tls1_3 </dev/null"),
              AllOf(HasSubstr("Protocol version: TLSv1.3"), HasSubstr("Verification: OK")));
  EXPECT_THAT(Output(command + "-tls1_2 </dev/null"), Not(HasSubstr("Protocol version")));
}

TEST_F(TlsTest, ResearcherIsRefusedWithTheReasonLoggedOnce) {
  const Credentials researcher = Identity("spiffe://heart/researcher/lea");
  for (int i = 0; i < 2; ++i) {
    const auto welcome = JoinAs(researcher);
    EXPECT_EQ(CodeOf(welcome), "permission_denied");
    EXPECT_THAT(MessageOf(welcome), HasSubstr("spiffe://heart/researcher/lea is not a client"));
  }
  ASSERT_EQ(server_log_.lines().size(), 1U);
  EXPECT_THAT(server_log_.lines().front(),
              AllOf(HasSubstr("peer_refused peer=ipv4:127.0.0.1:"), HasSubstr("is not a client")));
  ExpectServerUnaffected();
}

TEST_F(TlsTest, ClientThatIsNoMemberIsRefused) {
  server_.reset();
  auto server = GrpcServer::Start(
      {.listen = "127.0.0.1:0", .members = {"spiffe://heart/client/north-*"}, .limits = {}},
      Fixed("spiffe://heart/coordinator/main"), endpoint_, server_log_);
  ASSERT_TRUE(server.ok());
  server_ = std::move(server).value();
  const auto welcome = JoinAs(Identity("spiffe://heart/client/south-1"));
  EXPECT_EQ(CodeOf(welcome), "permission_denied");
  EXPECT_THAT(MessageOf(welcome), HasSubstr("not a member"));
  EXPECT_TRUE(JoinAs(Identity("spiffe://heart/client/north-1")).ok());
}

TEST_F(TlsTest, ClientThatIsNoMemberIsRefusedOnStreamsToo) {
  const Credentials researcher = Identity("spiffe://heart/researcher/lea");
  const auto link = Link(Address(server_->port()), Keep(researcher));
  Bytes content(10);
  const Digest digest = endpoint_.AddBlob(content);
  EXPECT_EQ(CodeOf(link->Download(digest, content, {})), "permission_denied");
  EXPECT_EQ(CodeOf(link->Upload(Header(content), content, {})), "permission_denied");
  EXPECT_EQ(endpoint_.calls("download") + endpoint_.calls("upload"), 0);
}

TEST_F(TlsTest, ClientOfAnotherFederationIsRefused) {
  // One authority cannot sign for two federations, so the server itself is of another one that
  // shares the trust file.
  server_.reset();
  MakeAuthority("lung", "lung");
  Credentials coordinator = Identity("spiffe://heart/coordinator/main");
  coordinator.trust_pem += ReadFile(folder_ / "lung" / "authority.pem").value();
  auto server = GrpcServer::Start({.listen = "127.0.0.1:0",
                                   .members = {"spiffe://heart/client/*", "spiffe://lung/client/*"},
                                   .limits = {}},
                                  Keep(coordinator), endpoint_, server_log_);
  ASSERT_TRUE(server.ok());
  server_ = std::move(server).value();
  const auto welcome = JoinAs(Stranger(Identity("spiffe://lung/client/site-1", "lung")));
  EXPECT_EQ(CodeOf(welcome), "permission_denied");
  EXPECT_THAT(MessageOf(welcome), HasSubstr("is not of federation 'heart'"));
}

TEST_F(TlsTest, CoordinatorOfAnotherAuthorityIsRefusedByTheClient) {
  MakeAuthority("other");
  const auto welcome = JoinAs(Identity("spiffe://heart/client/site-1", "other"));
  EXPECT_EQ(CodeOf(welcome), "unauthenticated");
  EXPECT_THAT(MessageOf(welcome), HasSubstr("is not the coordinator of this federation"));
  EXPECT_EQ(endpoint_.calls("join site-1"), 0);
}

TEST_F(TlsTest, CoordinatorUnderAnotherNameIsRefusedByTheClient) {
  v1::CoordinatorAddress address = Address(server_->port());
  address.set_server_name("elsewhere.example.org");
  const auto welcome = Link(address, Fixed("spiffe://heart/client/site-1"))->Join({}, {});
  EXPECT_EQ(CodeOf(welcome), "unauthenticated");
  EXPECT_THAT(MessageOf(welcome), HasSubstr("not for the name 'elsewhere.example.org'"));
}

TEST_F(TlsTest, CoordinatorOfAnotherFederationIsRefusedByTheClient) {
  MakeAuthority("lung", "lung");
  Credentials client = Identity("spiffe://lung/client/site-1", "lung");
  // It trusts both authorities; the coordinator of 'heart' answers where that of 'lung' was
  // expected.
  client.trust_pem += ReadFile(folder_ / "authority" / "authority.pem").value();
  server_.reset();
  Credentials coordinator = Identity("spiffe://heart/coordinator/main");
  coordinator.trust_pem += ReadFile(folder_ / "lung" / "authority.pem").value();
  coordinator.identity = IdentityUri::Parse("spiffe://lung/coordinator/main")
                             .value();  // what it claims counts for nothing
  auto server = GrpcServer::Start(
      {.listen = "127.0.0.1:0", .members = {"spiffe://lung/client/*"}, .limits = {}},
      Keep(coordinator), endpoint_, server_log_);
  ASSERT_TRUE(server.ok());
  server_ = std::move(server).value();
  const auto welcome = JoinAs(client);
  EXPECT_EQ(CodeOf(welcome), "permission_denied");
  EXPECT_THAT(MessageOf(welcome), HasSubstr("no coordinator of federation 'lung'"));
}

}  // namespace
}  // namespace fedmeta
