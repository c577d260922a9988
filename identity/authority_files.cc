#include "fedmeta/identity/authority_files.h"

#include "fedmeta/core/file.h"
#include "fedmeta/identity/private_key_file.h"

namespace fedmeta {

Error OpenSslFailed(const char* doing) {
  return {ErrorCode::kInternal, std::string("OpenSSL cannot ") + doing + ": " + x509::LastError()};
}

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

}  // namespace fedmeta
