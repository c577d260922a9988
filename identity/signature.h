#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "fedmeta/core/clock.h"
#include "fedmeta/core/digest.h"
#include "fedmeta/core/result.h"
#include "fedmeta/identity/credentials.h"
#include "fedmeta/identity/identity_uri.h"

namespace fedmeta {

// Statements signed with the key of a certificate: ECDSA P-256 over SHA-256, DER. What is signed is
// `domain`, a zero byte and the statement, so that a signature made for one purpose is none for
// another. Domains hold no zero byte.

/// A party's own key, for many statements: OpenSSL takes longer to read a key than to sign.
/// Immutable, cheap to copy, thread-safe.
class StatementKey {
 public:
  static Result<StatementKey> Of(const Credentials& credentials);
  Result<std::string> Sign(std::string_view domain, std::string_view statement) const;

 private:
  struct Content;
  explicit StatementKey(std::shared_ptr<const Content> content);
  std::shared_ptr<const Content> content_;
};
/// One statement with a party's own key.
Result<std::string> SignStatement(const Credentials& credentials, std::string_view domain,
                                  std::string_view statement);

/// A party's certificate that led to an authority when it was looked at: many of its statements can
/// be checked by it. Immutable, cheap to copy, thread-safe.
class VerifiedCertificate {
 public:
  /// kPermissionDenied: not of `role`, or it leads to none in `trust_pem` at that time. Revocation
  /// is not looked at.
  static Result<VerifiedCertificate> Verify(std::string_view certificates_pem,
                                            std::string_view trust_pem, IdentityRole role,
                                            WallTime at);
  const IdentityUri& identity() const;
  /// As the authority wrote it (SignOptions::organisation); the whole identity where it did not.
  const std::string& organisation() const;
  const Digest& sha256() const;  ///< of its DER form
  bool Verifies(std::string_view domain, std::string_view statement,
                std::string_view signature) const;

 private:
  struct Content;
  explicit VerifiedCertificate(std::shared_ptr<const Content> content);
  std::shared_ptr<const Content> content_;
};

struct SignedStatement {
  std::string_view domain, statement, signature;
  std::string_view certificates_pem;  ///< of the signer: its own first, then up to its authority
};
/// Who signed: the certificate belongs to `role` and led to one in `trust_pem` at that time.
/// kPermissionDenied: another key, or no certificate of this federation. Revocation is not looked
/// at.
Result<IdentityUri> CheckStatement(const SignedStatement& what, std::string_view trust_pem,
                                   IdentityRole role, WallTime at);

/// With the key of the authority that `fedmeta pki init` made in `dir`.
Result<std::string> SignAsAuthority(const std::filesystem::path& dir, std::string_view domain,
                                    std::string_view statement);
/// kPermissionDenied: by none of the authorities in `trust_pem`. Their dates are not looked at.
Status CheckAuthority(std::string_view domain, std::string_view statement,
                      std::string_view signature, std::string_view trust_pem);

}  // namespace fedmeta
