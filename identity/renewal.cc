#include "fedmeta/identity/renewal.h"

#include <cerrno>
#include <cstring>

#include <openssl/ec.h>

#include "fedmeta/core/file.h"
#include "fedmeta/identity/certificate_request.h"
#include "fedmeta/identity/private_key_file.h"
#include "fedmeta/identity/x509.h"

namespace fedmeta {
namespace {

Error Refuse(const std::filesystem::path& path, const std::string& why) {
  return {ErrorCode::kInvalidArgument, path.string() + " " + why};
}

std::filesystem::path NextKey(const RenewalOptions& options) {
  return options.key.string() + ".next";
}

struct Held {
  x509::Certificate certificate;
  RequestedNames names;
  std::string pem;  ///< with its chain
};

Result<Held> ReadCertificate(const std::filesystem::path& path) {
  Held held;
  FEDMETA_ASSIGN_OR_RETURN(held.pem, ReadFile(path));
  FEDMETA_ASSIGN_OR_RETURN(auto certificates, x509::ParseCertificates(held.pem, path));
  held.certificate = std::move(certificates.front());
  const x509::AlternativeNames names = x509::NamesOf(held.certificate.get());
  if (names.uris.size() != 1) return Refuse(path, "does not name one identity (URI)");
  auto identity = IdentityUri::Parse(names.uris.front());
  if (!identity.ok()) return identity.error().WithContext(path.string());
  held.names = {.identity = std::move(identity).value(),
                .dns_names = names.dns_names,
                .ip_addresses = names.ip_addresses};
  return held;
}

bool Matches(const Held& held, const x509::Key& key) {
  return EVP_PKEY_eq(X509_get0_pubkey(held.certificate.get()), key.get()) == 1;
}

/// The key that waits; made if there is none.
Result<x509::Key> WaitingKey(const std::filesystem::path& path) {
  if (std::filesystem::exists(path)) return ReadPrivateKey(path);
  x509::Key key(EVP_EC_gen(SN_X9_62_prime256v1));
  if (!key) return Error(ErrorCode::kInternal, "OpenSSL cannot make a key: " + x509::LastError());
  FEDMETA_RETURN_IF_ERROR(WritePrivateKey(path, key.get()));
  return key;
}

}  // namespace

Result<std::filesystem::path> RequestRenewal(const RenewalOptions& options) {
  FEDMETA_ASSIGN_OR_RETURN(const Held held, ReadCertificate(options.certificate));
  FEDMETA_ASSIGN_OR_RETURN(x509::Key key, ReadPrivateKey(options.key));
  if (!Matches(held, key)) {
    return Refuse(options.key, "does not belong to " + options.certificate.string() +
                                   ": name the pair that is in use");
  }
  if (!options.same_key) {
    FEDMETA_ASSIGN_OR_RETURN(key, WaitingKey(NextKey(options)));
  }
  FEDMETA_ASSIGN_OR_RETURN(const std::string request, RequestPem(held.names, key.get()));
  const std::filesystem::path path =
      std::filesystem::path(options.certificate).replace_extension(".csr");
  FEDMETA_RETURN_IF_ERROR(WriteFileAtomically(path, request));
  return path;
}

Status InstallRenewal(const RenewalOptions& options,
                      const std::filesystem::path& signed_certificate, const Clock& clock) {
  FEDMETA_ASSIGN_OR_RETURN(const Held old, ReadCertificate(options.certificate));
  FEDMETA_ASSIGN_OR_RETURN(const Held fresh, ReadCertificate(signed_certificate));
  if (fresh.names.identity != old.names.identity) {
    return Refuse(signed_certificate, "is for " + fresh.names.identity.ToString() + ", " +
                                          options.certificate.string() + " is for " +
                                          old.names.identity.ToString() + "; nothing was changed");
  }
  const WallTime from = x509::ToWallTime(X509_get0_notBefore(fresh.certificate.get()));
  const WallTime until = x509::ToWallTime(X509_get0_notAfter(fresh.certificate.get()));
  if (clock.Wall() < from || clock.Wall() > until) {
    return Refuse(signed_certificate, "is valid from " + FormatUtc(from) + " to " +
                                          FormatUtc(until) + ", and now is " +
                                          FormatUtc(clock.Wall()) + "; nothing was changed");
  }
  FEDMETA_ASSIGN_OR_RETURN(const x509::Key key, ReadPrivateKey(options.key));
  if (!Matches(fresh, key)) {
    const std::filesystem::path waiting = NextKey(options);
    const auto next = ReadPrivateKey(waiting);
    if (!next.ok() || !Matches(fresh, next.value())) {
      return Refuse(signed_certificate,
                    "was signed for neither " + options.key.string() + " nor " + waiting.string() +
                        "; nothing was changed. Have the request signed that `fedmeta pki renew` "
                        "wrote");
    }
    if (::rename(waiting.c_str(), options.key.c_str()) != 0) {
      return Error(ErrorCode::kInternal,
                   "cannot replace " + options.key.string() + ": " + std::strerror(errno));
    }
  }
  return WriteFileAtomically(options.certificate, fresh.pem);
}

}  // namespace fedmeta
