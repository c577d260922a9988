#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "fedmeta/core/digest.h"
#include "fedmeta/core/result.h"
#include "fedmeta/identity/identity_uri.h"

namespace fedmeta {

/// Largest PEM text of a member: a roster of 128 fits one message.
inline constexpr std::size_t kMaximumCertificateBytes = 7 * 1024;
inline constexpr std::size_t kMaximumSignatureBytes = 256;

/// What this process signs with: the key of its certificate, as of one moment, so that a renewal
/// does not change it in the middle of a session. Immutable, thread-safe.
class Signer {
 public:
  virtual ~Signer() = default;
  virtual const IdentityUri& identity() const = 0;
  /// What peers verify with, as they are given it: PEM, the own certificate first; at most
  /// kMaximumCertificateBytes.
  virtual const std::string& certificate() const = 0;
  virtual const Digest& certificate_hash() const = 0;
  /// `domain` and `statement` as in identity/signature.h.
  virtual Result<std::string> Sign(std::string_view domain, std::string_view statement) const = 0;
};
/// As of now; asked once a session.
using SignerSource = std::function<Result<std::shared_ptr<const Signer>>()>;

/// A party whose certificate was verified.
class Peer {
 public:
  virtual ~Peer() = default;
  virtual const IdentityUri& identity() const = 0;
  /// As the authority certified it: minimum counts count organisations, and a session holds one
  /// client of each. The whole identity where the certificate names no organisation.
  virtual const std::string& organisation() const = 0;
  virtual const Digest& certificate_hash() const = 0;
  virtual bool Verifies(std::string_view domain, std::string_view statement,
                        std::string_view signature) const = 0;
};

/// Who a certificate belongs to, by the federation's authority and nobody else's word. Thread-safe.
class PeerVerifier {
 public:
  virtual ~PeerVerifier() = default;
  /// Chain, dates, usage, role, federation, and a fresh list of revoked certificates.
  /// kUnauthenticated, kPermissionDenied (revoked, another role or federation), kUnavailable (the
  /// list is missing or stale): nothing is guessed.
  virtual Result<std::shared_ptr<const Peer>> Verify(std::string_view certificate) const = 0;
};

}  // namespace fedmeta
