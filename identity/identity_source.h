#pragma once

#include <functional>
#include <memory>
#include <string_view>

#include "fedmeta/core/result.h"
#include "fedmeta/identity/credentials.h"

namespace fedmeta {

/// Who this process is, and which peers still count. Both change while it runs: certificates are
/// renewed and revoked without a restart. Thread-safe.
class IdentitySource {
 public:
  virtual ~IdentitySource() = default;
  /// As of now. The identity itself never changes.
  virtual std::shared_ptr<const Credentials> credentials() const = 0;
  /// Of the certificates that a peer presented, in PEM, its own first; TLS has verified them at its
  /// handshake. kUnauthenticated: no longer within their dates. kPermissionDenied: revoked.
  /// kUnavailable: it cannot be told, because the list of revoked certificates is stale or missing.
  virtual Status CheckPeer(std::string_view certificates_pem) const = 0;
  /// `call` after each change of what CheckPeer answers, on a thread of the source; it does not
  /// call back into OnChange. Empty: nothing, and no call runs any more. One at a time.
  virtual void OnChange(std::function<void()> call) = 0;
};

}  // namespace fedmeta
