#pragma once

#include <chrono>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "fedmeta/core/clock.h"
#include "fedmeta/core/result.h"
#include "fedmeta/identity/identity_uri.h"

namespace fedmeta {

/// The consortium's certificate authority: offline, not run by the coordinator. ECDSA P-256,
/// SHA-256, random 128-bit serials. Files: authority.pem, authority.key (0600), issued.txt (one
/// line a certificate: serial, not after, identity).
struct AuthorityOptions {
  std::filesystem::path dir;
  std::string federation;
  std::chrono::seconds validity = std::chrono::days(3650);
};
/// Refuses a folder that already holds an authority.
Status InitAuthority(const AuthorityOptions& options, const Clock& clock);

/// On the party's own machine: makes <name>.key (0600) where it stays, and <name>.csr with the
/// identity as URI SAN. Coordinators may add DNS names and IP addresses for server verification.
struct RequestOptions {
  std::filesystem::path dir;
  IdentityUri identity;
  std::vector<std::string> dns_names = {};
  std::vector<std::string> ip_addresses = {};
};
/// Never overwrites a key. Returns the path of the request.
Result<std::filesystem::path> MakeRequest(const RequestOptions& options);

struct SignOptions {
  std::filesystem::path authority_dir;
  std::filesystem::path request;
  std::filesystem::path certificate;  ///< written
  std::chrono::seconds validity = std::chrono::days(365);
  std::optional<std::string> expected_identity =
      {};  ///< refuse a request that asks for another one
  /// Whom the authority knows the party to belong to; in the subject (O), 1 to 64 bytes of UTF-8.
  /// Secure aggregation counts organisations; a party without one counts as its own.
  std::optional<std::string> organisation = {};
};
/// Verifies the request's own signature, its key (P-256) and that its one URI SAN is an identity of
/// this federation. The certificate has key usage digitalSignature, extended usage serverAuth for a
/// coordinator, else clientAuth.
Result<IdentityUri> SignRequest(const SignOptions& options, const Clock& clock);

struct CertificateInfo {
  std::string identity;  ///< URI SAN, or empty
  std::string subject, issuer;
  std::string serial_hex;
  std::string not_before, not_after;  ///< RFC 3339
  double days_left = 0;
  std::vector<std::string> usages, dns_names, ip_addresses;
  std::string sha256;
  bool is_authority = false;
  bool is_request = false;
};
/// Of a PEM certificate or request; of several, the first.
Result<CertificateInfo> DescribeCertificate(const std::filesystem::path& path, const Clock& clock);
/// Of the certificates that a peer presented.
Result<CertificateInfo> DescribeCertificatePem(std::string_view pem, const Clock& clock);

}  // namespace fedmeta
