#pragma once

#include <string>

#include "fedmeta/metrics/metric_registry.h"

namespace fedmeta {

/// What the system knows of this process, under Prometheus' usual names: process_cpu_seconds_total,
/// process_resident_memory_bytes, process_open_fds, process_max_fds, process_threads,
/// process_start_time_seconds; and fedmeta_build_info. Read from /proc at each scrape; what cannot
/// be read is left out.
void AddProcessMetrics(MetricRegistry& registry, const std::string& version,
                       const std::string& protocol);

}  // namespace fedmeta
