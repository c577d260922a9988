#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "fedmeta/core/clock.h"
#include "fedmeta/core/logger.h"
#include "fedmeta/core/result.h"
#include "fedmeta/metrics/metric_registry.h"
#include "fedmeta/metrics/metrics_server.h"
#include "fedmeta/v1/client.pb.h"

namespace fedmeta {

/// What both long-running programs show and check: their process, their certificate and the
/// folders that they write into.
struct Monitored {
  const Clock& clock;
  /// Of the certificate in use, asked for at each scrape: it may be renewed.
  std::function<WallTime()> certificate_expires;
  /// Where the process writes, by the key of its file: reasons and labels name that, not the path.
  std::map<std::string, std::filesystem::path> folders;
};

/// Process, build, certificate and disk metrics. docs/metrics.md lists the names.
void AddCommonMetrics(const Monitored& monitored, MetricRegistry& registry);
/// Reasons why such a program cannot serve: expired certificate, folders that cannot be written.
std::vector<std::string> WhyNotReady(const Monitored& monitored);

/// The server that the file's `metrics` block asks for, and where it listens on stdout; null
/// without the block.
Result<std::unique_ptr<MetricsServer>> ServeMetrics(const v1::Metrics* config,
                                                    MetricsServer::Options options,
                                                    const MetricRegistry& registry, Logger& logger);

}  // namespace fedmeta
