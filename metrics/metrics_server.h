#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "fedmeta/core/logger.h"
#include "fedmeta/core/result.h"
#include "fedmeta/metrics/metric_registry.h"

namespace fedmeta {

/// Plain HTTP for a monitoring system on the same machine, on one thread of its own:
///   GET /metrics  the registry, text format 0.0.4
///   GET /healthz  200 while the process does its work, else 503 and why
///   GET /readyz   200 while it serves, else 503 and one reason a line
/// Other paths: 404; other methods: 405. No encryption and no access control: meant for a loopback
/// address, and a warning is logged for any other. Requests of at most 8 KiB without a body, one a
/// connection, within 5 s, 32 connections at a time; what exceeds that is cut off.
class MetricsServer {
 public:
  struct Options {
    std::string listen;  ///< host:port; port 0 takes a free one
    /// Empty: healthy; else why not. May block for a moment, as may `not_ready`.
    std::function<std::string()> unhealthy;
    std::function<std::vector<std::string>()> not_ready;
  };
  /// `registry`, `logger` and whatever the functions borrow outlive the server. Errors:
  /// kInvalidArgument, kUnavailable, both naming metrics.listen.
  static Result<std::unique_ptr<MetricsServer>> Start(Options options,
                                                      const MetricRegistry& registry,
                                                      Logger& logger);
  /// Cuts off what is open.
  virtual ~MetricsServer() = default;
  virtual std::uint16_t port() const = 0;
};

}  // namespace fedmeta
