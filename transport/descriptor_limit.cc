#include "fedmeta/transport/descriptor_limit.h"

#include <algorithm>
#include <cstdint>
#include <sys/resource.h>

namespace fedmeta {
namespace {

constexpr int kReserve = 128;
constexpr rlim_t kMost = 1'000'000;

DescriptorLimit Of(rlim_t limit) {
  const int all = static_cast<int>(std::min(limit, kMost));  // RLIM_INFINITY is the largest
  return {.all = all, .for_connections = std::max(all / 2, all - kReserve)};
}

}  // namespace

DescriptorLimit HardDescriptorLimit() {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  return Of(limit.rlim_max);
}

DescriptorLimit RaiseDescriptorLimit() {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
  ::getrlimit(RLIMIT_NOFILE, &limit);
  return Of(limit.rlim_cur);
}

std::string TooFewDescriptors(const DescriptorLimit& limit, const TransportLimits& limits) {
  const std::int64_t wanted = std::int64_t{limits.connections} + limits.handshakes;
  if (wanted <= limit.for_connections) return "";
  return "limits.connections: " + std::to_string(limits.connections) + " clients and " +
         std::to_string(limits.handshakes) + " connections at their start need " +
         std::to_string(wanted + limit.all - limit.for_connections) +
         " open files, this process may have " + std::to_string(limit.all) +
         ": raise the limit (ulimit -n, LimitNOFILE= of a systemd unit), or lower "
         "limits.connections";
}

}  // namespace fedmeta
