#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "fedmeta/core/logger.h"
#include "fedmeta/core/result.h"
#include "fedmeta/identity/identity_source.h"
#include "fedmeta/transport/coordinator_endpoint.h"

namespace fedmeta {

/// The coordinator's gRPC server: callback API, TLS 1.3 with client certificates, no plaintext
/// mode. Before every handler: the peer's URI SAN must be a client of this federation that a member
/// pattern covers, else PERMISSION_DENIED, logged with the reason. Pieces of at most 1 MiB; streams
/// that idle or crawl are ended, connections, calls and streams counted (TransportLimits);
/// keepalive in both directions; a second server on one port is refused. Raises the process's soft
/// limit of open files to the hard one, and says so if that is too low for the limits. A new
/// connection uses the certificate that `identity` has by then, and no connection lasts for ever,
/// so that a renewed one is taken by all; calls of a peer that no longer counts are ended.
class GrpcServer {
 public:
  struct Options {
    std::string listen;  ///< host:port; port 0 takes a free one
    std::vector<std::string> members;
    TransportLimits limits;
    /// Hears, on gRPC's threads, of each call that was refused before its handler.
    std::function<void(ErrorCode)> refused = {};
    /// Hears, there too, who was refused as such and why: no member, revoked, expired.
    std::function<void(const std::string&)> turned_away = {};
  };
  /// `endpoint` and `logger` outlive the server; no other server uses `identity`. Errors:
  /// kUnavailable "port in use", kInvalidArgument.
  static Result<std::unique_ptr<GrpcServer>> Start(const Options& options,
                                                   std::shared_ptr<IdentitySource> identity,
                                                   CoordinatorEndpoint& endpoint, Logger& logger);
  virtual ~GrpcServer() = default;
  virtual int port() const = 0;
  /// No new calls; running ones get `grace_ms`, then are cancelled. Idempotent. The endpoint is not
  /// called afterwards.
  virtual void Stop(int grace_ms) = 0;
};

}  // namespace fedmeta
