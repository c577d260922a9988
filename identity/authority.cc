#include "fedmeta/identity/authority.h"

#include <algorithm>

#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/rand.h>

#include "fedmeta/core/file.h"
#include "fedmeta/identity/authority_files.h"
#include "fedmeta/identity/certificate_request.h"
#include "fedmeta/identity/private_key_file.h"
#include "fedmeta/identity/x509.h"

namespace fedmeta {
namespace {

constexpr std::chrono::days kLongestValidity{36'500};
// Machines' clocks differ; a fresh certificate must not be "not yet valid" on the next one.
constexpr std::chrono::minutes kBackdated{5};

struct ExtensionText {
  int nid;
  std::string value;  ///< in OpenSSL's configuration syntax
};

Status CheckValidity(std::chrono::seconds validity) {
  if (validity.count() >= 1 && validity <= kLongestValidity) return {};
  return Error(ErrorCode::kInvalidArgument,
               "validity must be between 1 s and " + std::to_string(kLongestValidity.count()) +
                   " days, got " + std::to_string(validity.count()) + " s");
}

bool SetRandomSerial(X509* certificate) {
  unsigned char bytes[16];
  if (RAND_bytes(bytes, sizeof(bytes)) != 1) return false;
  bytes[0] &= 0x7f;  // positive in 128 bits
  const std::unique_ptr<BIGNUM, x509::Free<BN_free>> number(
      BN_bin2bn(bytes, sizeof(bytes), nullptr));
  return number && BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(certificate)) != nullptr;
}

bool AddExtensions(X509* certificate, X509* issuer, const std::vector<ExtensionText>& extensions) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  for (const ExtensionText& text : extensions) {
    const std::unique_ptr<X509_EXTENSION, x509::Free<X509_EXTENSION_free>> extension(
        X509V3_EXT_conf_nid(nullptr, &context, text.nid, text.value.c_str()));
    if (!extension || X509_add_ext(certificate, extension.get(), -1) != 1) return false;
  }
  return true;
}

bool SetDates(X509* certificate, WallTime now, std::chrono::seconds validity) {
  const std::time_t from = std::chrono::system_clock::to_time_t(now - kBackdated);
  const std::time_t until = std::chrono::system_clock::to_time_t(now + validity);
  return ASN1_TIME_set(X509_getm_notBefore(certificate), from) != nullptr &&
         ASN1_TIME_set(X509_getm_notAfter(certificate), until) != nullptr;
}

Result<std::string> CertificatePem(X509* certificate) {
  const x509::Buffer buffer(BIO_new(BIO_s_mem()));
  if (PEM_write_bio_X509(buffer.get(), certificate) != 1)
    return OpenSslFailed("write a certificate");
  return std::string(x509::Content(buffer));
}

Result<RequestedNames> CheckRequest(X509_REQ* request, const SignOptions& options,
                                    const std::string& federation) {
  const auto refuse = [&](const std::string& why) {
    return Error(ErrorCode::kInvalidArgument,
                 "request " + options.request.string() + " " + why + "; nothing was signed");
  };
  EVP_PKEY* key = X509_REQ_get0_pubkey(request);
  if (!x509::IsP256(key)) return refuse("has a key that is not ECDSA P-256");
  if (X509_REQ_verify(request, key) != 1)
    return refuse("is not signed by its own key: it was changed or damaged");
  const x509::AlternativeNames names = x509::NamesOf(request);
  if (names.uris.size() != 1)
    return refuse("asks for " + std::to_string(names.uris.size()) +
                  " URI names, it must be exactly one");
  if (names.other) return refuse("asks for names that are neither URI, DNS nor IP");
  const auto identity = IdentityUri::Parse(names.uris.front());
  if (!identity.ok()) return identity.error().WithContext("request " + options.request.string());
  if (identity.value().federation != federation) {
    return refuse("is for federation '" + identity.value().federation +
                  "', this authority is of '" + federation + "'");
  }
  if (options.expected_identity && *options.expected_identity != identity.value().ToString()) {
    return refuse("asks for " + identity.value().ToString() + ", expected was " +
                  *options.expected_identity);
  }
  RequestedNames requested{.identity = identity.value(),
                           .dns_names = names.dns_names,
                           .ip_addresses = names.ip_addresses};
  if (const Status status = CheckNames(requested); !status.ok()) {
    return status.error().WithContext("request " + options.request.string());
  }
  return requested;
}

Status CheckOrganisation(const std::optional<std::string>& organisation) {
  if (!organisation) return {};
  const bool control = std::any_of(organisation->begin(), organisation->end(), [](char c) {
    return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
  });
  if (!organisation->empty() && organisation->size() <= 64 && !control) return {};
  return Error(ErrorCode::kInvalidArgument,
               "an organisation must be 1 to 64 bytes without control characters, got " +
                   std::to_string(organisation->size()) + " bytes");
}

}  // namespace

Status InitAuthority(const AuthorityOptions& options, const Clock& clock) {
  // A federation's name is whatever an identity can carry.
  const IdentityUri probe{
      .federation = options.federation, .role = IdentityRole::kClient, .name = "probe"};
  if (!IdentityUri::Parse(probe.ToString()).ok()) {
    return Error(
        ErrorCode::kInvalidArgument,
        "federation must be 1 to 128 letters, digits, '-', '_' or '.' (first not '.'), got '" +
            options.federation + "'");
  }
  FEDMETA_RETURN_IF_ERROR(CheckValidity(options.validity));
  FEDMETA_RETURN_IF_ERROR(MakeWritableFolder(options.dir, 0700));
  const std::filesystem::path certificate_path = options.dir / "authority.pem";
  const std::filesystem::path key_path = options.dir / "authority.key";
  if (std::filesystem::exists(certificate_path) || std::filesystem::exists(key_path)) {
    return Error(ErrorCode::kAlreadyExists,
                 options.dir.string() + " already holds an authority; choose another folder");
  }
  const x509::Key key(EVP_EC_gen(SN_X9_62_prime256v1));
  const x509::Certificate certificate(X509_new());
  X509* x = certificate.get();
  const bool built =
      key && x != nullptr && X509_set_version(x, X509_VERSION_3) == 1 && SetRandomSerial(x) &&
      SetDates(x, clock.Wall(), options.validity) &&
      SetCommonName(X509_get_subject_name(x), options.federation + " authority") &&
      X509_set_issuer_name(x, X509_get_subject_name(x)) == 1 &&
      X509_set_pubkey(x, key.get()) == 1 &&
      AddExtensions(x, x,
                    {{NID_basic_constraints, "critical,CA:TRUE,pathlen:0"},
                     {NID_key_usage, "critical,keyCertSign,cRLSign"},
                     {NID_subject_key_identifier, "hash"},
                     {NID_subject_alt_name, "URI:spiffe://" + options.federation}}) &&
      X509_sign(x, key.get(), EVP_sha256()) > 0;
  if (!built) return OpenSslFailed("make an authority");
  FEDMETA_ASSIGN_OR_RETURN(const std::string pem, CertificatePem(x));
  FEDMETA_RETURN_IF_ERROR(WritePrivateKey(key_path, key.get()));
  return WriteFileAtomically(certificate_path, pem);
}

Result<IdentityUri> SignRequest(const SignOptions& options, const Clock& clock) {
  FEDMETA_RETURN_IF_ERROR(CheckValidity(options.validity));
  FEDMETA_RETURN_IF_ERROR(CheckOrganisation(options.organisation));
  FEDMETA_ASSIGN_OR_RETURN(const Authority authority, LoadAuthority(options.authority_dir));
  FEDMETA_ASSIGN_OR_RETURN(const std::string request_pem, ReadFile(options.request));
  FEDMETA_ASSIGN_OR_RETURN(const x509::Request request,
                           x509::ParseRequest(request_pem, options.request));
  FEDMETA_ASSIGN_OR_RETURN(const RequestedNames names,
                           CheckRequest(request.get(), options, authority.federation));
  const IdentityUri& identity = names.identity;
  X509* issuer = authority.certificate.get();
  const WallTime authority_ends = x509::ToWallTime(X509_get0_notAfter(issuer));
  if (clock.Wall() + options.validity > authority_ends) {
    return Error(ErrorCode::kInvalidArgument,
                 "a certificate must not outlive the authority, which ends on " +
                     FormatUtc(authority_ends) + ": ask for less than " +
                     FormatDuration(static_cast<double>(options.validity.count())));
  }
  const bool server = identity.role == IdentityRole::kCoordinator;
  const x509::Certificate certificate(X509_new());
  X509* x = certificate.get();
  const bool built =
      x != nullptr && X509_set_version(x, X509_VERSION_3) == 1 && SetRandomSerial(x) &&
      SetDates(x, clock.Wall(), options.validity) &&
      (!options.organisation || SetOrganisation(X509_get_subject_name(x), *options.organisation)) &&
      SetCommonName(X509_get_subject_name(x), identity.name) &&
      X509_set_issuer_name(x, X509_get_subject_name(issuer)) == 1 &&
      X509_set_pubkey(x, X509_REQ_get0_pubkey(request.get())) == 1 &&
      AddExtensions(x, issuer,
                    {{NID_basic_constraints, "critical,CA:FALSE"},
                     {NID_key_usage, "critical,digitalSignature"},
                     {NID_ext_key_usage, server ? "serverAuth" : "clientAuth"},
                     {NID_subject_key_identifier, "hash"},
                     {NID_authority_key_identifier, "keyid:always"},
                     {NID_subject_alt_name, AlternativeNameText(names)}}) &&
      X509_sign(x, authority.key.get(), EVP_sha256()) > 0;
  if (!built) return OpenSslFailed("sign a certificate");
  FEDMETA_ASSIGN_OR_RETURN(const std::string pem, CertificatePem(x));
  FEDMETA_RETURN_IF_ERROR(WriteFileAtomically(options.certificate, pem));
  const auto info = DescribeCertificate(options.certificate, clock);
  const Status recorded = info.ok()
                              ? AppendFile(options.authority_dir / "issued.txt",
                                           info.value().serial_hex + " " + info.value().not_after +
                                               " " + info.value().identity + "\n")
                              : Status(info.error());
  if (!recorded.ok()) {
    std::error_code ignored;  // no certificate without its line
    std::filesystem::remove(options.certificate, ignored);
    return recorded.error();
  }
  return identity;
}

}  // namespace fedmeta
