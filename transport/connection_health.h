#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <stop_token>
#include <string>

#include "fedmeta/core/clock.h"
#include "fedmeta/core/logger.h"
#include "fedmeta/core/result.h"
#include "fedmeta/identity/identity_source.h"
#include "fedmeta/transport/dial_target.h"

namespace fedmeta {

/// What a link knows of its connection, over all its calls: says once that it is lost and why, once
/// that it is back, and tells a coordinator that is away from a mistake in the client's files.
/// Thread-safe.
class ConnectionHealth {
 public:
  /// `changed`, if set, hears when the coordinator is reached and when it is lost.
  ConnectionHealth(std::shared_ptr<const DialTarget> target,
                   std::shared_ptr<const IdentitySource> identity,
                   std::function<void(bool reached)> changed, Logger& logger);

  /// The coordinator answered a call, with whatever.
  void Answered();
  /// A call failed for a reason that may pass. The returned error says that it will not: before the
  /// first answer, when two looks in succession met a refusal (proxy password, certificates).
  Status Failed(const Error& error, const std::stop_token& stop);

 private:
  void SetReached(bool reached);

  const std::shared_ptr<const DialTarget> target_;
  const std::shared_ptr<const IdentitySource> identity_;
  const std::function<void(bool)> changed_;
  Logger& logger_;
  const SystemClock clock_;
  std::mutex mutex_;
  bool answered_once_ = false;
  bool reached_ = false;
  int refusals_ = 0;
  std::string reason_;  ///< as last logged; empty: the connection is well
  TimePoint lost_since_{};
};

}  // namespace fedmeta
