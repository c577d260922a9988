#include "fedmeta/cli/monitoring.h"

#include <cstdio>
#include <system_error>
#include <unistd.h>
#include <utility>

#include "fedmeta/core/text.h"
#include "fedmeta/metrics/process_metrics.h"
#include "fedmeta/protocol/version.h"

namespace fedmeta {
namespace {

constexpr std::uintmax_t kLeastFreeBytes = std::uintmax_t{64} * 1024 * 1024;

}  // namespace

void AddCommonMetrics(const Monitored& monitored, MetricRegistry& registry) {
  AddProcessMetrics(registry, kProgramVersion, ProtocolVersionText());
  registry.AddReadGauge(
      "fedmeta_certificate_expiry_timestamp_seconds",
      "When this party's certificate expires, since 1970.", {},
      [expires = monitored.certificate_expires]() -> MetricRegistry::Reading {
        return {{"", std::chrono::duration<double>(expires().time_since_epoch()).count()}};
      });
  std::vector<std::string> keys;
  for (const auto& [key, folder] : monitored.folders) keys.push_back(key);
  registry.AddReadGauge("fedmeta_disk_free_bytes", "Room left where this process writes.",
                        {"folder", std::move(keys)}, [folders = monitored.folders] {
                          MetricRegistry::Reading free;
                          for (const auto& [key, folder] : folders) {
                            std::error_code failure;
                            const auto space = std::filesystem::space(folder, failure);
                            if (!failure) free[key] = static_cast<double>(space.available);
                          }
                          return free;
                        });
}

std::vector<std::string> WhyNotReady(const Monitored& monitored) {
  std::vector<std::string> reasons;
  if (monitored.certificate_expires() <= monitored.clock.Wall()) {
    reasons.emplace_back("identity.certificate has expired");
  }
  for (const auto& [key, folder] : monitored.folders) {
    std::error_code failure;
    const auto space = std::filesystem::space(folder, failure);
    if (::access(folder.c_str(), W_OK | X_OK) != 0) {
      reasons.push_back(key + ": cannot write there");
    } else if (!failure && space.available < kLeastFreeBytes) {
      reasons.push_back(key + ": " + FormatBytes(space.available) + " free");
    }
  }
  return reasons;
}

Result<std::unique_ptr<MetricsServer>> ServeMetrics(const v1::Metrics* config,
                                                    MetricsServer::Options options,
                                                    const MetricRegistry& registry,
                                                    Logger& logger) {
  if (config == nullptr) return std::unique_ptr<MetricsServer>();
  options.listen = config->listen();
  const std::string host = options.listen.substr(0, options.listen.rfind(':'));
  FEDMETA_ASSIGN_OR_RETURN(auto server, MetricsServer::Start(std::move(options), registry, logger));
  std::printf("metrics on http://%s:%d/metrics\n", host.c_str(), server->port());
  std::fflush(stdout);
  return server;
}

}  // namespace fedmeta
