#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include <ATen/core/Tensor.h>

#include "fedmeta/algorithms/models/objective.h"

namespace fedmeta {

/// A figure with its 95 % bootstrap interval.
struct Estimate {
  double value = 0, low = 0, high = 0;
};

/// How good a model is on rows that adaptation did not see: means over episodes or, where a site is
/// a single task, over its query examples.
struct AdaptFigure {
  std::uint32_t steps = 0;
  double learning_rate = 0;
  Estimate loss;      ///< of a classifier the log-loss
  Estimate accuracy;  ///< of a classifier
  /// Where the task has them: area under the ROC curve needs two classes and examples of both.
  std::optional<Estimate> auc, brier, calibration_error;
  std::uint32_t diverged = 0;  ///< episodes left out
};

/// What a model gave for one episode's query set.
struct QueryOutputs {
  at::Tensor outputs;  ///< [examples, outputs]; undefined: adaptation diverged
  at::Tensor targets;
  /// Whose record each example is; empty: each stands for itself.
  std::span<const std::uint32_t> groups = {};
};

/// Intervals are over episodes; of a single one over its examples, all of a person together (Efron
/// 1979), 200 to 2000 draws of stream (seed, "bootstrap").
AdaptFigure Summarise(const Objective& objective, std::span<const QueryOutputs> episodes,
                      std::uint64_t seed);

}  // namespace fedmeta
