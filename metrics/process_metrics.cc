#include "fedmeta/metrics/process_metrics.h"

#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <sstream>
#include <sys/resource.h>
#include <unistd.h>

namespace fedmeta {
namespace {

// Positions in /proc/self/stat counted after the program's name (proc(5) counts from 1 and has two
// fields before).
constexpr std::size_t kThreads = 17, kStartTicks = 19, kResidentPages = 21;

std::optional<double> StatField(std::size_t position) {
  std::ifstream file("/proc/self/stat");
  std::string line;
  std::getline(file, line);
  const std::size_t name_end = line.rfind(')');
  if (name_end == line.npos) return std::nullopt;
  std::istringstream rest(line.substr(name_end + 1));
  std::string field;
  for (std::size_t i = 0; i <= position; ++i) {
    if (!(rest >> field)) return std::nullopt;
  }
  return std::strtod(field.c_str(), nullptr);
}

/// Seconds since 1970 at which this machine started.
std::optional<double> BootTime() {
  std::ifstream file("/proc/stat");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("btime ")) return std::strtod(line.c_str() + 6, nullptr);
  }
  return std::nullopt;
}

MetricRegistry::Reading One(std::optional<double> value) {
  if (!value) return {};
  return {{"", *value}};
}

double CpuSeconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

MetricRegistry::Reading OpenDescriptors() {
  std::error_code failure;
  const std::filesystem::directory_iterator descriptors("/proc/self/fd", failure);
  if (failure) return {};
  // One of them is this listing's own.
  const auto count = std::distance(begin(descriptors), end(descriptors)) - 1;
  return {{"", static_cast<double>(count)}};
}

MetricRegistry::Reading MostDescriptors() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return {};
  return {{"", static_cast<double>(limit.rlim_cur)}};
}

}  // namespace

void AddProcessMetrics(MetricRegistry& registry, const std::string& version,
                       const std::string& protocol) {
  registry.AddReadCounter("process_cpu_seconds_total", "Processor time used.", CpuSeconds);
  registry.AddReadGauge("process_resident_memory_bytes", "Memory in use.", {}, [] {
    const auto pages = StatField(kResidentPages);
    return One(pages ? std::optional(*pages * static_cast<double>(::sysconf(_SC_PAGESIZE)))
                     : std::nullopt);
  });
  registry.AddReadGauge("process_threads", "Threads.", {}, [] { return One(StatField(kThreads)); });
  registry.AddReadGauge("process_open_fds", "Open files and connections.", {}, OpenDescriptors);
  registry.AddReadGauge("process_max_fds", "Most open files and connections.", {}, MostDescriptors);
  registry.AddReadGauge("process_start_time_seconds", "When the process started, since 1970.", {},
                        [] {
                          const auto boot = BootTime();
                          const auto ticks = StatField(kStartTicks);
                          if (!boot || !ticks) return MetricRegistry::Reading();
                          return One(*boot + *ticks / static_cast<double>(::sysconf(_SC_CLK_TCK)));
                        });
  registry
      .AddGauge("fedmeta_build_info", "Always 1; the version is in the label.",
                {.name = "version", .values = {version + ", protocol " + protocol}})
      .With(version + ", protocol " + protocol)
      .Set(1);
}

}  // namespace fedmeta
