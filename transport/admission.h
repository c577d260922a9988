#pragma once

#include <mutex>
#include <set>
#include <string>
#include <vector>

#include <grpcpp/server_context.h>

#include "fedmeta/core/ids.h"
#include "fedmeta/core/logger.h"
#include "fedmeta/core/result.h"

namespace fedmeta {

/// Decides before every handler whether the peer may call: a client of this federation whom a
/// member pattern covers. Thread-safe.
class Admission {
 public:
  Admission(std::string federation, std::vector<std::string> members, Logger& logger)
      : federation_(std::move(federation)), members_(std::move(members)), logger_(logger) {}

  /// kUnauthenticated, kPermissionDenied; each reason is logged once.
  Result<ClientId> Check(const grpc::CallbackServerContext& context);

 private:
  Result<ClientId> Decide(const grpc::CallbackServerContext& context) const;
  void LogOnce(const Error& error, const std::string& peer);

  const std::string federation_;
  const std::vector<std::string> members_;
  Logger& logger_;
  std::mutex mutex_;
  std::set<std::string> logged_;
};

}  // namespace fedmeta
