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
  /// Mean over examples of loss x weight, a scalar with a graph. `weights` [examples]; undefined:
  /// 1 each.
  at::Tensor Loss(const at::Tensor& outputs, const at::Tensor& targets,
                  const at::Tensor& weights = {}) const;
  /// Examples, summed loss (never weighted), correct; other fields 0. Without a graph.
  MetricSums Measure(const at::Tensor& outputs, const at::Tensor& targets) const;
  /// Measure, and of one task of a classifier all figures that an evaluation reports.
  MetricSums Evaluate(const at::Tensor& outputs, const at::Tensor& targets) const;
  /// Of each class [examples, classes], float64 on the CPU: the softmax, or of a single binary
  /// output [1 - p, p]. Undefined for regression and for several binary outputs.
  at::Tensor Probabilities(const at::Tensor& outputs) const;

 private:
  at::Tensor WeightedLoss(const at::Tensor& outputs, const at::Tensor& targets,
                          const at::Tensor& weights) const;

  ObjectiveKind kind_;
};

}  // namespace fedmeta
