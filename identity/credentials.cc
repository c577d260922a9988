#include "fedmeta/identity/credentials.h"

#include "fedmeta/core/file.h"
#include "fedmeta/identity/chain.h"
#include "fedmeta/identity/x509.h"

namespace fedmeta {
namespace {

Error Refuse(const std::string& path, const std::string& why) {
  return {ErrorCode::kInvalidArgument, path + " " + why};
}

Result<std::string> ReadPart(const char* field, const std::string& path) {
  if (path.empty())
    return Error(ErrorCode::kInvalidArgument,
                 std::string("identity.") + field + " is missing: name a PEM file");
  auto content = ReadFile(path);
  if (!content.ok()) {
    return content.error().WithContext(std::string("identity.") + field);
  }
  return content;
}

Status CheckDates(X509* certificate, const std::string& path, WallTime now) {
  const WallTime from = x509::ToWallTime(X509_get0_notBefore(certificate));
  const WallTime until = x509::ToWallTime(X509_get0_notAfter(certificate));
  if (now < from) {
    return Refuse(path, "is not valid before " + FormatUtc(from) +
                            ", and this machine's clock says " + FormatUtc(now) +
                            ": check the clock");
  }
  if (now > until) {
    return Refuse(path, "expired on " + FormatUtc(until) + " (now " + FormatUtc(now) +
                            "): ask the authority to sign a new request");
  }
  return {};
}

Result<IdentityUri> CheckIdentity(X509* certificate, const std::string& path,
                                  IdentityRole expected) {
  const x509::AlternativeNames names = x509::NamesOf(certificate);
  if (names.uris.size() != 1) {
    return Refuse(
        path,
        "has " + std::to_string(names.uris.size()) +
            " URI names, an identity is exactly one: make a request with `fedmeta pki request`");
  }
  auto identity = IdentityUri::Parse(names.uris.front());
  if (!identity.ok()) return identity.error().WithContext(path);
  if (identity.value().role != expected) {
    return Refuse(path, "is for " + identity.value().ToString() + ", but a " +
                            std::string(RoleName(expected)) +
                            "'s certificate is needed here: ask the authority for one");
  }
  return identity;
}

Status CheckUsage(X509* certificate, const std::string& path, IdentityRole role) {
  const bool server = role == IdentityRole::kCoordinator;
  const std::uint32_t needed = server ? XKU_SSL_SERVER : XKU_SSL_CLIENT;
  if ((X509_get_extension_flags(certificate) & EXFLAG_XKUSAGE) == 0 ||
      (X509_get_extended_key_usage(certificate) & needed) == 0) {
    return Refuse(path, std::string("lacks the extended key usage ") +
                            (server ? "serverAuth" : "clientAuth") +
                            ": have it signed with `fedmeta pki sign`");
  }
  return {};
}

Status CheckChain(const std::vector<x509::Certificate>& own,
                  const std::vector<x509::Certificate>& trusted, const v1::Identity& files,
                  IdentityRole role, WallTime now) {
  for (const x509::Certificate& authority : trusted) {
    FEDMETA_RETURN_IF_ERROR(CheckDates(authority.get(), files.trust(), now));
  }
  const Status verified = VerifyChain(own, trusted, role, now);
  if (verified.ok()) return {};
  return Refuse(files.certificate(), "is not issued by the authority in " + files.trust() + " (" +
                                         verified.error().message() +
                                         "): both must come from one federation");
}

}  // namespace

Result<Credentials> LoadCredentials(const v1::Identity& files, IdentityRole expected_role,
                                    const Clock& clock) {
  Credentials credentials;
  FEDMETA_ASSIGN_OR_RETURN(credentials.certificate_pem,
                           ReadPart("certificate", files.certificate()));
  FEDMETA_ASSIGN_OR_RETURN(std::string key_pem, ReadPart("key", files.key()));
  credentials.key_pem = SecretBytes(key_pem);
  OPENSSL_cleanse(key_pem.data(), key_pem.size());
  FEDMETA_ASSIGN_OR_RETURN(credentials.trust_pem, ReadPart("trust", files.trust()));

  FEDMETA_ASSIGN_OR_RETURN(
      const auto own, x509::ParseCertificates(credentials.certificate_pem, files.certificate()));
  FEDMETA_ASSIGN_OR_RETURN(const x509::Key key,
                           x509::ParseKey(credentials.key_pem.Expose(), files.key()));
  FEDMETA_ASSIGN_OR_RETURN(const auto trusted,
                           x509::ParseCertificates(credentials.trust_pem, files.trust()));

  X509* certificate = own.front().get();
  FEDMETA_ASSIGN_OR_RETURN(credentials.identity,
                           CheckIdentity(certificate, files.certificate(), expected_role));
  if (!x509::IsP256(X509_get0_pubkey(certificate))) {
    return Refuse(files.certificate(),
                  "has a key that is not ECDSA P-256: make one with `fedmeta pki request`");
  }
  if (EVP_PKEY_eq(X509_get0_pubkey(certificate), key.get()) != 1) {
    return Refuse(files.key(), "does not belong to " + files.certificate() +
                                   ": use the key that was made with its request; if a renewal "
                                   "was interrupted, install it again (`fedmeta pki renew`)");
  }
  const WallTime now = clock.Wall();
  FEDMETA_RETURN_IF_ERROR(CheckDates(certificate, files.certificate(), now));
  FEDMETA_RETURN_IF_ERROR(CheckUsage(certificate, files.certificate(), expected_role));
  FEDMETA_RETURN_IF_ERROR(CheckChain(own, trusted, files, expected_role, now));
  credentials.not_after = x509::ToWallTime(X509_get0_notAfter(certificate));
  const auto left = credentials.not_after - now;
  credentials.days_left = std::chrono::duration<double, std::ratio<86'400>>(left).count();
  return credentials;
}

}  // namespace fedmeta
