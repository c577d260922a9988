#pragma once

#include <functional>
#include <memory>

#include "fedmeta/coordinator/live_coordinator.h"
#include "fedmeta/core/clock.h"
#include "fedmeta/core/result.h"
#include "fedmeta/metrics/metric_registry.h"
#include "fedmeta/transport/coordinator_endpoint.h"

namespace fedmeta {

/// For LiveCoordinator::Options::stored: how long the store took, and its errors.
std::function<void(Duration took, bool ok)> MakeStoreMetrics(MetricRegistry& registry);

/// Counts what goes through the endpoint that the transport server calls, and shows what the
/// coordinator behind it holds at this moment: the calls themselves stay as they are.
/// docs/metrics.md lists the names. Thread-safe as the endpoint that it wraps.
class CoordinatorMetrics : public CoordinatorEndpoint {
 public:
  /// All are borrowed and outlive it; nothing scrapes the registry after `coordinator` is gone.
  static std::unique_ptr<CoordinatorMetrics> Create(LiveCoordinator& coordinator,
                                                    std::uint32_t staging_slots,
                                                    MetricRegistry& registry);
  /// A call was refused before it reached the endpoint.
  virtual void Refused(ErrorCode code) = 0;
};

}  // namespace fedmeta
