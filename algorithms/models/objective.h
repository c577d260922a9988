#pragma once

#include <cstdint>

#include <ATen/core/Tensor.h>

#include "fedmeta/core/metric_sums.h"

namespace fedmeta {

enum class ObjectiveKind : std::uint8_t { kCrossEntropy, kBinaryCrossEntropy, kMeanSquaredError };

/// Loss and metrics of a task type; chosen by the data source. Immutable, thread-safe.
/// Targets: cross-entropy int64 [examples]; binary cross-entropy float {0, 1} [examples, 1] on
/// logits; mean squared error float [examples, outputs].
class Objective {
 public:
  explicit Objective(ObjectiveKind kind) : kind_(kind) {}
  ObjectiveKind kind() const { return kind_; }
  /// Mean loss over examples, a scalar with a graph.
  at::Tensor Loss(const at::Tensor& outputs, const at::Tensor& targets) const;
  /// Examples, summed loss, correct; other fields 0. Without a graph.
  MetricSums Measure(const at::Tensor& outputs, const at::Tensor& targets) const;

 private:
  ObjectiveKind kind_;
};

}  // namespace fedmeta
