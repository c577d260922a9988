#include "fedmeta/identity/authority.h"

#include <arpa/inet.h>

#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/rand.h>

#include "fedmeta/core/file.h"
#include "fedmeta/core/text.h"
#include "fedmeta/identity/private_key_file.h"
#include "fedmeta/identity/x509.h"

namespace fedmeta {
namespace {

constexpr int kMaximumDays = 36'500;
// Machines' clocks differ; a fresh certificate must not be "not yet valid" on the next one.
constexpr std::chrono::minutes kBackdated{5};

struct ExtensionText {
  int nid;
  std::string value;  ///< in OpenSSL's configuration syntax
};

Error OpenSslFailed(const char* doing) {
  return {ErrorCode::kInternal, std::string("OpenSSL cannot ") + doing + ": " + x509::LastError()};
}

Status CheckDays(int days) {
  if (days >= 1 && days <= kMaximumDays) return {};
  return Error(ErrorCode::kInvalidArgument, "days must be between 1 and " +
                                                std::to_string(kMaximumDays) + ", got " +
                                                std::to_string(days));
}

bool SetRandomSerial(X509* certificate) {
  unsigned char bytes[16];
  if (RAND_bytes(bytes, sizeof(bytes)) != 1) return false;
  bytes[0] &= 0x7f;  // positive in 128 bits
  const std::unique_ptr<BIGNUM, x509::Free<BN_free>> number(
      BN_bin2bn(bytes, sizeof(bytes), nullptr));
  return number && BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(certificate)) != nullptr;
}

// For people who look; the identity is the URI SAN alone. X.509 allows a common name 64 characters.
bool SetCommonName(X509_NAME* name, const std::string& text) {
  const std::string cut = text.substr(0, 64);
  return X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8,
                                    reinterpret_cast<const unsigned char*>(cut.data()),
                                    static_cast<int>(cut.size()), -1, 0) == 1;
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

bool SetDates(X509* certificate, WallTime now, int days) {
  const std::time_t from = std::chrono::system_clock::to_time_t(now - kBackdated);
  const std::time_t until = std::chrono::system_clock::to_time_t(now + std::chrono::days(days));
  return ASN1_TIME_set(X509_getm_notBefore(certificate), from) != nullptr &&
         ASN1_TIME_set(X509_getm_notAfter(certificate), until) != nullptr;
}

Result<std::string> CertificatePem(X509* certificate) {
  const x509::Buffer buffer(BIO_new(BIO_s_mem()));
  if (PEM_write_bio_X509(buffer.get(), certificate) != 1)
    return OpenSslFailed("write a certificate");
  return std::string(x509::Content(buffer));
}

// The parts that were checked one by one, so nothing in them can be read as OpenSSL's syntax.
std::string AlternativeNameText(const std::string& uri, const std::vector<std::string>& dns_names,
                                const std::vector<std::string>& ip_addresses) {
  std::string text = "URI:" + uri;
  for (const std::string& name : dns_names) text += ",DNS:" + name;
  for (const std::string& address : ip_addresses) text += ",IP:" + address;
  return text;
}

Status CheckServerNames(const IdentityUri& identity, const std::vector<std::string>& dns_names,
                        const std::vector<std::string>& ip_addresses) {
  if (identity.role != IdentityRole::kCoordinator &&
      (!dns_names.empty() || !ip_addresses.empty())) {
    return Error(
        ErrorCode::kInvalidArgument,
        "only a coordinator's certificate carries DNS names and IP addresses, not that of " +
            identity.ToString() + ": leave them out");
  }
  for (const std::string& name : dns_names) {
    const bool fits =
        !name.empty() && name.size() <= 253 &&
        name.find_first_not_of(
            "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.") == name.npos;
    if (!fits)
      return Error(ErrorCode::kInvalidArgument,
                   "a DNS name must be letters, digits, '-' and '.', without '*', at most 253");
  }
  for (const std::string& address : ip_addresses) {
    unsigned char raw[16];
    if (inet_pton(AF_INET, address.c_str(), raw) != 1 &&
        inet_pton(AF_INET6, address.c_str(), raw) != 1) {
      return Error(ErrorCode::kInvalidArgument,
                   "an IP address of the request is not an IPv4 or IPv6 address");
    }
  }
  return {};
}

struct Authority {
  x509::Certificate certificate;
  x509::Key key;
  std::string federation;
};

Result<Authority> LoadAuthority(const std::filesystem::path& dir) {
  const std::filesystem::path certificate_path = dir / "authority.pem";
  const auto pem = ReadFile(certificate_path);
  if (!pem.ok())
    return pem.error().WithContext("no authority in " + dir.string() +
                                   " (`fedmeta pki init` makes one)");
  FEDMETA_ASSIGN_OR_RETURN(auto certificates,
                           x509::ParseCertificates(pem.value(), certificate_path));
  FEDMETA_ASSIGN_OR_RETURN(x509::Key key, ReadPrivateKey(dir / "authority.key"));
  Authority authority{
      .certificate = std::move(certificates.front()), .key = std::move(key), .federation = {}};
  if (EVP_PKEY_eq(X509_get0_pubkey(authority.certificate.get()), authority.key.get()) != 1) {
    return Error(
        ErrorCode::kInvalidArgument,
        (dir / "authority.key").string() + " does not belong to " + certificate_path.string());
  }
  constexpr std::string_view kScheme = "spiffe://";
  const x509::AlternativeNames names = x509::NamesOf(authority.certificate.get());
  if (names.uris.size() != 1 || !names.uris.front().starts_with(kScheme)) {
    return Error(
        ErrorCode::kInvalidArgument,
        certificate_path.string() + " names no federation: it was not made by `fedmeta pki init`");
  }
  authority.federation = names.uris.front().substr(kScheme.size());
  return authority;
}

Result<IdentityUri> CheckRequest(X509_REQ* request, const SignOptions& options,
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
  if (const Status status = CheckServerNames(identity.value(), names.dns_names, names.ip_addresses);
      !status.ok()) {
    return status.error().WithContext("request " + options.request.string());
  }
  return identity;
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
  FEDMETA_RETURN_IF_ERROR(CheckDays(options.days));
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
      SetDates(x, clock.Wall(), options.days) &&
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

Result<std::filesystem::path> MakeRequest(const RequestOptions& options) {
  FEDMETA_RETURN_IF_ERROR(IdentityUri::Parse(options.identity.ToString()));
  FEDMETA_RETURN_IF_ERROR(
      CheckServerNames(options.identity, options.dns_names, options.ip_addresses));
  FEDMETA_RETURN_IF_ERROR(MakeWritableFolder(options.dir, 0700));
  const x509::Key key(EVP_EC_gen(SN_X9_62_prime256v1));
  const x509::Request request(X509_REQ_new());
  const std::string names =
      AlternativeNameText(options.identity.ToString(), options.dns_names, options.ip_addresses);
  const auto free_all = [](STACK_OF(X509_EXTENSION) * all) {
    sk_X509_EXTENSION_pop_free(all, X509_EXTENSION_free);
  };
  const std::unique_ptr<STACK_OF(X509_EXTENSION), decltype(free_all)> extensions(
      sk_X509_EXTENSION_new_null(), free_all);
  X509_EXTENSION* extension =
      X509V3_EXT_conf_nid(nullptr, nullptr, NID_subject_alt_name, names.c_str());
  const bool built =
      key && request && extensions && extension != nullptr &&
      sk_X509_EXTENSION_push(extensions.get(), extension) > 0 &&
      SetCommonName(X509_REQ_get_subject_name(request.get()), options.identity.name) &&
      X509_REQ_add_extensions(request.get(), extensions.get()) == 1 &&
      X509_REQ_set_pubkey(request.get(), key.get()) == 1 &&
      X509_REQ_sign(request.get(), key.get(), EVP_sha256()) > 0;
  if (!built) return OpenSslFailed("make a certificate request");
  const x509::Buffer buffer(BIO_new(BIO_s_mem()));
  if (PEM_write_bio_X509_REQ(buffer.get(), request.get()) != 1)
    return OpenSslFailed("write a certificate request");

  const std::filesystem::path key_path = options.dir / (options.identity.name + ".key");
  const std::filesystem::path request_path = options.dir / (options.identity.name + ".csr");
  FEDMETA_RETURN_IF_ERROR(WritePrivateKey(key_path, key.get()));
  if (const Status status = WriteFileAtomically(request_path, x509::Content(buffer));
      !status.ok()) {
    std::error_code
        ignored;  // a key without its request is of no use, and would block the next try
    std::filesystem::remove(key_path, ignored);
    return status.error();
  }
  return request_path;
}

Result<IdentityUri> SignRequest(const SignOptions& options, const Clock& clock) {
  FEDMETA_RETURN_IF_ERROR(CheckDays(options.days));
  FEDMETA_ASSIGN_OR_RETURN(const Authority authority, LoadAuthority(options.authority_dir));
  FEDMETA_ASSIGN_OR_RETURN(const std::string request_pem, ReadFile(options.request));
  FEDMETA_ASSIGN_OR_RETURN(const x509::Request request,
                           x509::ParseRequest(request_pem, options.request));
  FEDMETA_ASSIGN_OR_RETURN(const IdentityUri identity,
                           CheckRequest(request.get(), options, authority.federation));
  X509* issuer = authority.certificate.get();
  const WallTime authority_ends = x509::ToWallTime(X509_get0_notAfter(issuer));
  if (clock.Wall() + std::chrono::days(options.days) > authority_ends) {
    return Error(ErrorCode::kInvalidArgument,
                 "days must not outlive the authority, which ends on " + FormatUtc(authority_ends) +
                     ", got " + std::to_string(options.days));
  }
  const x509::AlternativeNames names = x509::NamesOf(request.get());
  const bool server = identity.role == IdentityRole::kCoordinator;
  const x509::Certificate certificate(X509_new());
  X509* x = certificate.get();
  const bool built =
      x != nullptr && X509_set_version(x, X509_VERSION_3) == 1 && SetRandomSerial(x) &&
      SetDates(x, clock.Wall(), options.days) &&
      SetCommonName(X509_get_subject_name(x), identity.name) &&
      X509_set_issuer_name(x, X509_get_subject_name(issuer)) == 1 &&
      X509_set_pubkey(x, X509_REQ_get0_pubkey(request.get())) == 1 &&
      AddExtensions(
          x, issuer,
          {{NID_basic_constraints, "critical,CA:FALSE"},
           {NID_key_usage, "critical,digitalSignature"},
           {NID_ext_key_usage, server ? "serverAuth" : "clientAuth"},
           {NID_subject_key_identifier, "hash"},
           {NID_authority_key_identifier, "keyid:always"},
           {NID_subject_alt_name,
            AlternativeNameText(identity.ToString(), names.dns_names, names.ip_addresses)}}) &&
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
