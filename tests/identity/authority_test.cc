#include "fedmeta/identity/authority.h"

#include <array>
#include <cstdio>
#include <sys/stat.h>

#include "pki_fixture.h"
#include <gmock/gmock.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

#include "fedmeta/core/file.h"

namespace fedmeta {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

class AuthorityTest : public PkiTest {
 protected:
  /// A request as a hostile party would make it: any key, any names (OpenSSL's syntax).
  std::filesystem::path ForgeRequest(EVP_PKEY* key, const char* names) {
    X509_REQ* request = X509_REQ_new();
    STACK_OF(X509_EXTENSION)* extensions = sk_X509_EXTENSION_new_null();
    sk_X509_EXTENSION_push(extensions,
                           X509V3_EXT_conf_nid(nullptr, nullptr, NID_subject_alt_name, names));
    X509_REQ_add_extensions(request, extensions);
    X509_REQ_set_pubkey(request, key);
    X509_REQ_sign(request, key, EVP_sha256());
    const std::filesystem::path path = folder_ / "forged.csr";
    std::FILE* file = std::fopen(path.c_str(), "w");
    PEM_write_X509_REQ(file, request);
    std::fclose(file);
    sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
    X509_REQ_free(request);
    EVP_PKEY_free(key);
    return path;
  }
  static EVP_PKEY* P256() { return EVP_EC_gen("P-256"); }
  static unsigned Mode(const std::filesystem::path& path) {
    struct stat info {};
    return ::stat(path.c_str(), &info) == 0 ? info.st_mode & 0777U : 0U;
  }
  static bool HasOpenSsl() { return std::system("openssl version >/dev/null 2>&1") == 0; }
  static std::string Output(const std::string& command) {
    std::FILE* pipe = ::popen((command + " 2>&1").c_str(), "r");
    std::string text;
    std::array<char, 4096> part{};
    while (std::fgets(part.data(), static_cast<int>(part.size()), pipe) != nullptr)
      text += part.data();
    ::pclose(pipe);
    return text;
  }
};

TEST_F(AuthorityTest, KeysAreReadableByTheirOwnerOnly) {
  const auto authority = Authority();
  const auto request = Request("spiffe://heart/client/site-1");
  EXPECT_EQ(Mode(authority / "authority.key"), 0600U);
  EXPECT_EQ(Mode(folder_ / "party" / "site-1.key"), 0600U);
  EXPECT_EQ(Mode(folder_ / "party"), 0700U);
}

TEST_F(AuthorityTest, SecondInitInOneFolderIsRefusedAndChangesNothing) {
  const auto authority = Authority();
  const std::string before = ReadFile(authority / "authority.key").value();
  const Status status = InitAuthority({.dir = authority, .federation = "other"}, clock_);
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code(), ErrorCode::kAlreadyExists);
  EXPECT_EQ(ReadFile(authority / "authority.key").value(), before);
}

TEST_F(AuthorityTest, FederationThatNoIdentityCanCarryIsRefused) {
  for (const char* name : {"", "a b", "a/b", "..", "a,DNS:b"}) {
    const Status status = InitAuthority({.dir = folder_ / "x", .federation = name}, clock_);
    ASSERT_FALSE(status.ok()) << name;
    EXPECT_THAT(status.error().message(), HasSubstr("federation"));
  }
}

TEST_F(AuthorityTest, KeyIsNeverOverwritten) {
  Request("spiffe://heart/client/site-1");
  const std::string before = ReadFile(folder_ / "party" / "site-1.key").value();
  const auto again =
      MakeRequest({.dir = folder_ / "party",
                   .identity = IdentityUri::Parse("spiffe://heart/client/site-1").value()});
  ASSERT_FALSE(again.ok());
  EXPECT_EQ(again.error().code(), ErrorCode::kAlreadyExists);
  EXPECT_EQ(ReadFile(folder_ / "party" / "site-1.key").value(), before);
}

TEST_F(AuthorityTest, ClientCertificateIsForClientsOnly) {
  Authority();
  const auto request = Request("spiffe://heart/client/site-1");
  ASSERT_TRUE(Sign(request).ok());
  const CertificateInfo info = DescribeCertificate(CertificateOf(request), clock_).value();
  EXPECT_EQ(info.identity, "spiffe://heart/client/site-1");
  EXPECT_THAT(info.usages, ElementsAre("digitalSignature", "clientAuth"));
  EXPECT_FALSE(info.is_authority);
  EXPECT_FALSE(info.is_request);
  EXPECT_NEAR(info.days_left, 365, 0.01);
}

TEST_F(AuthorityTest, CoordinatorCertificateCarriesItsServerNames) {
  Authority();
  const auto request = Request("spiffe://heart/coordinator/main", {"fed.example.org", "localhost"},
                               {"127.0.0.1", "::1"});
  ASSERT_TRUE(Sign(request).ok());
  const CertificateInfo info = DescribeCertificate(CertificateOf(request), clock_).value();
  EXPECT_THAT(info.usages, ElementsAre("digitalSignature", "serverAuth"));
  EXPECT_THAT(info.dns_names, ElementsAre("fed.example.org", "localhost"));
  EXPECT_THAT(info.ip_addresses, ElementsAre("127.0.0.1", "::1"));
}

TEST_F(AuthorityTest, AuthorityIsDescribedAsOne) {
  const CertificateInfo info = DescribeCertificate(Authority() / "authority.pem", clock_).value();
  EXPECT_TRUE(info.is_authority);
  EXPECT_EQ(info.identity, "spiffe://heart");
  EXPECT_THAT(info.usages, ElementsAre("keyCertSign", "cRLSign"));
}

TEST_F(AuthorityTest, RequestIsDescribedAsOne) {
  const CertificateInfo info =
      DescribeCertificate(Request("spiffe://heart/coordinator/main", {"a.example"}), clock_)
          .value();
  EXPECT_TRUE(info.is_request);
  EXPECT_EQ(info.identity, "spiffe://heart/coordinator/main");
  EXPECT_THAT(info.dns_names, ElementsAre("a.example"));
  EXPECT_EQ(info.sha256.size(), 64U);
}

TEST_F(AuthorityTest, FileWithoutCertificateIsRefused) {
  ASSERT_TRUE(WriteFileAtomically(folder_ / "text", "hello").ok());
  const auto info = DescribeCertificate(folder_ / "text", clock_);
  EXPECT_THAT(MessageOf(info), HasSubstr("text holds no certificate"));
}

TEST_F(AuthorityTest, IssuedCertificatesAreRecorded) {
  const auto authority = Authority();
  const auto request = Request("spiffe://heart/client/site-1");
  ASSERT_TRUE(Sign(request).ok());
  const CertificateInfo info = DescribeCertificate(CertificateOf(request), clock_).value();
  EXPECT_EQ(ReadFile(authority / "issued.txt").value(),
            info.serial_hex + " " + info.not_after + " spiffe://heart/client/site-1\n");
}

TEST_F(AuthorityTest, SerialNumbersDiffer) {
  Authority();
  const auto first = Request("spiffe://heart/client/site-1");
  const auto second = Request("spiffe://heart/client/site-2");
  ASSERT_TRUE(Sign(first).ok());
  ASSERT_TRUE(Sign(second).ok());
  EXPECT_NE(DescribeCertificate(CertificateOf(first), clock_).value().serial_hex,
            DescribeCertificate(CertificateOf(second), clock_).value().serial_hex);
}

TEST_F(AuthorityTest, RequestOfAnotherFederationIsRefused) {
  Authority();
  const auto request = Request("spiffe://lung/client/site-1");
  EXPECT_THAT(MessageOf(Sign(request)), AllOf(HasSubstr("'lung'"), HasSubstr("'heart'")));
  EXPECT_FALSE(std::filesystem::exists(CertificateOf(request)));
}

TEST_F(AuthorityTest, RequestForAnotherIdentityThanExpectedIsRefused) {
  Authority();
  const auto request = Request("spiffe://heart/client/site-1");
  const auto signed_identity = SignRequest({.authority_dir = folder_ / "authority",
                                            .request = request,
                                            .certificate = CertificateOf(request),
                                            .expected_identity = "spiffe://heart/client/site-2"},
                                           clock_);
  EXPECT_THAT(MessageOf(signed_identity), HasSubstr("expected was spiffe://heart/client/site-2"));
}

TEST_F(AuthorityTest, RequestWithAnRsaKeyIsRefused) {
  Authority();
  EXPECT_THAT(MessageOf(Sign(ForgeRequest(EVP_RSA_gen(2048), "URI:spiffe://heart/client/a"))),
              HasSubstr("not ECDSA P-256"));
}

TEST_F(AuthorityTest, RequestWithAnotherCurveIsRefused) {
  Authority();
  EXPECT_THAT(MessageOf(Sign(ForgeRequest(EVP_EC_gen("P-384"), "URI:spiffe://heart/client/a"))),
              HasSubstr("not ECDSA P-256"));
}

TEST_F(AuthorityTest, RequestWithSeveralUriNamesIsRefused) {
  Authority();
  EXPECT_THAT(MessageOf(Sign(
                  ForgeRequest(P256(), "URI:spiffe://heart/client/a,URI:spiffe://heart/client/b"))),
              HasSubstr("2 URI names"));
}

TEST_F(AuthorityTest, RequestWithoutUriNameIsRefused) {
  Authority();
  EXPECT_THAT(MessageOf(Sign(ForgeRequest(P256(), "DNS:a.example"))), HasSubstr("0 URI names"));
}

TEST_F(AuthorityTest, RequestWithNamesOfAnotherKindIsRefused) {
  Authority();
  EXPECT_THAT(
      MessageOf(Sign(ForgeRequest(P256(), "URI:spiffe://heart/client/a,email:a@b.example"))),
      HasSubstr("neither URI, DNS nor IP"));
}

TEST_F(AuthorityTest, ClientRequestWithServerNamesIsRefused) {
  Authority();
  EXPECT_THAT(
      MessageOf(Sign(ForgeRequest(P256(), "URI:spiffe://heart/client/a,DNS:fed.example.org"))),
      HasSubstr("only a coordinator"));
}

TEST_F(AuthorityTest, CoordinatorRequestWithAWildcardNameIsRefused) {
  Authority();
  EXPECT_THAT(
      MessageOf(Sign(ForgeRequest(P256(), "URI:spiffe://heart/coordinator/a,DNS:*.example.org"))),
      HasSubstr("without '*'"));
}

TEST_F(AuthorityTest, ChangedRequestIsRefused) {
  Authority();
  // Another party's public key under this party's signature.
  EVP_PKEY* signer = P256();
  X509_REQ* request = X509_REQ_new();
  STACK_OF(X509_EXTENSION)* extensions = sk_X509_EXTENSION_new_null();
  sk_X509_EXTENSION_push(extensions, X509V3_EXT_conf_nid(nullptr, nullptr, NID_subject_alt_name,
                                                         "URI:spiffe://heart/client/a"));
  X509_REQ_add_extensions(request, extensions);
  EVP_PKEY* claimed = P256();
  X509_REQ_set_pubkey(request, claimed);
  X509_REQ_sign(request, signer, EVP_sha256());
  const std::filesystem::path path = folder_ / "stolen.csr";
  std::FILE* file = std::fopen(path.c_str(), "w");
  PEM_write_X509_REQ(file, request);
  std::fclose(file);
  sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
  X509_REQ_free(request);
  EVP_PKEY_free(signer);
  EVP_PKEY_free(claimed);
  EXPECT_THAT(MessageOf(Sign(path)), HasSubstr("not signed by its own key"));
}

TEST_F(AuthorityTest, CertificateCannotOutliveItsAuthority) {
  ASSERT_TRUE(
      InitAuthority(
          {.dir = folder_ / "authority", .federation = "heart", .validity = std::chrono::days(30)},
          clock_)
          .ok());
  EXPECT_THAT(
      MessageOf(Sign(Request("spiffe://heart/client/a"), "authority", std::chrono::days(31))),
      HasSubstr("must not outlive the authority"));
}

TEST_F(AuthorityTest, ValidityOutOfBoundsIsRefused) {
  Authority();
  EXPECT_THAT(
      MessageOf(Sign(Request("spiffe://heart/client/a"), "authority", std::chrono::seconds(0))),
      HasSubstr("validity must be between 1 s and 36500 days, got 0 s"));
}

TEST_F(AuthorityTest, SigningWithoutAnAuthoritySaysHowToMakeOne) {
  EXPECT_THAT(MessageOf(Sign(Request("spiffe://heart/client/a"), "nowhere")),
              HasSubstr("`fedmeta pki init` makes one"));
}

TEST_F(AuthorityTest, ClientMayNotAskForServerNames) {
  const auto request =
      MakeRequest({.dir = folder_ / "party",
                   .identity = IdentityUri::Parse("spiffe://heart/client/a").value(),
                   .dns_names = {"a.example"},
                   .ip_addresses = {}});
  EXPECT_THAT(MessageOf(request), HasSubstr("only a coordinator"));
}

TEST_F(AuthorityTest, LongNamesAreSigned) {
  Authority(std::string(128, 'f'));
  const auto request =
      Request("spiffe://" + std::string(128, 'f') + "/client/" + std::string(128, 'n'));
  const auto identity = Sign(request);
  EXPECT_TRUE(identity.ok()) << MessageOf(identity);
}

TEST_F(AuthorityTest, OpenSslAgreesWithTheCertificate) {
  if (!HasOpenSsl()) GTEST_SKIP() << "the openssl command is missing (Debian package openssl)";
  const auto authority = Authority();
  const auto request =
      Request("spiffe://heart/coordinator/main", {"fed.example.org"}, {"127.0.0.1"});
  ASSERT_TRUE(Sign(request).ok());
  const std::string certificate = CertificateOf(request).string();
  EXPECT_THAT(Output("openssl verify -x509_strict -purpose sslserver -CAfile " +
                     (authority / "authority.pem").string() + " " + certificate),
              HasSubstr(": OK"));
  EXPECT_THAT(Output("openssl verify -purpose sslclient -CAfile " +
                     (authority / "authority.pem").string() + " " + certificate),
              Not(HasSubstr(": OK")));
  EXPECT_THAT(
      Output("openssl x509 -noout -text -in " + certificate),
      AllOf(HasSubstr(
                "URI:spiffe://heart/coordinator/main, DNS:fed.example.org, IP Address:127.0.0.1"),
            HasSubstr("prime256v1"), HasSubstr("TLS Web Server Authentication"),
            HasSubstr("CA:FALSE")));
  EXPECT_THAT(Output("openssl x509 -noout -text -in " + (authority / "authority.pem").string()),
              AllOf(HasSubstr("CA:TRUE, pathlen:0"), HasSubstr("Certificate Sign, CRL Sign")));
}

}  // namespace
}  // namespace fedmeta
