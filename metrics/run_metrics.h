#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "fedmeta/core/clock.h"
#include "fedmeta/metrics/metric_registry.h"
#include "fedmeta/records/run_observer.h"

namespace fedmeta {

struct RunMetricsOptions {
  std::vector<std::string> legs;  ///< every leg that the run has: values of the label `leg`
  std::uint32_t minimum_cohort = 1;
};

/// Counts what an observer hears: rounds, clients, times, bytes, aggregate evaluation figures, the
/// run's state. docs/metrics.md lists the names. The registry outlives the observer.
std::unique_ptr<RunObserver> MakeRunMetrics(RunMetricsOptions options, MetricRegistry& registry,
                                            const Clock& clock);

}  // namespace fedmeta
