#pragma once

#include <memory>

#include "fedmeta/core/clock.h"
#include "fedmeta/metrics/metric_registry.h"
#include "fedmeta/transport/coordinator_link.h"

namespace fedmeta {

/// Counts what a client says and hears on its link: the calls themselves stay as they are.
/// docs/metrics.md lists the names. Thread-safe as the link that it wraps, with one call to Next,
/// Download or Upload at a time.
class ClientMetrics {
 public:
  /// Both are borrowed and outlive it.
  ClientMetrics(const Clock& clock, MetricRegistry& registry);
  ~ClientMetrics();
  ClientMetrics(const ClientMetrics&) = delete;
  ClientMetrics& operator=(const ClientMetrics&) = delete;

  /// For MakeGrpcLink. Thread-safe.
  void Reached(bool reached);
  bool reached() const;
  /// `link` and this outlive what is returned.
  std::unique_ptr<CoordinatorLink> Wrap(CoordinatorLink& link);

  struct Figures;

 private:
  const std::unique_ptr<Figures> figures_;
};

}  // namespace fedmeta
