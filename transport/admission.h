#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include <grpcpp/server_context.h>

#include "fedmeta/core/ids.h"
#include "fedmeta/core/logger.h"
#include "fedmeta/core/result.h"
#include "fedmeta/identity/identity_source.h"

namespace fedmeta {

/// What a peer is told of an error: nothing of the coordinator's own files.
Error ForPeer(const Error& error);

/// Decides before every handler whether the peer may call: a client of this federation whom a
/// member pattern covers, and whose certificates still count (IdentitySource::CheckPeer).
/// Thread-safe.
class Admission {
 public:
  /// Each may be empty.
  struct Hears {
    std::function<void(ErrorCode)> refused;  ///< of each refused call
    std::function<void(const std::string&)>
        turned_away;  ///< who and why, if it is the peer's doing
  };
  Admission(std::shared_ptr<const IdentitySource> identity, std::vector<std::string> members,
            Hears hears, Logger& logger)
      : identity_(std::move(identity)),
        federation_(identity_->credentials()->identity.federation),
        members_(std::move(members)),
        hears_(std::move(hears)),
        logger_(logger) {}

  /// kUnauthenticated, kPermissionDenied, kUnavailable (it cannot be told whether a certificate is
  /// revoked); each reason is logged once.
  Result<ClientId> Check(const grpc::CallbackServerContext& context);

 private:
  Result<ClientId> Decide(const grpc::CallbackServerContext& context) const;
  void LogOnce(const Error& error, const std::string& peer);

  const std::shared_ptr<const IdentitySource> identity_;
  const std::string federation_;
  const std::vector<std::string> members_;
  const Hears hears_;
  Logger& logger_;
  std::mutex mutex_;
  std::set<std::string> logged_;
};

}  // namespace fedmeta
