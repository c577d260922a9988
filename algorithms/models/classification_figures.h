#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "fedmeta/core/metric_sums.h"

namespace fedmeta {

/// Share of the pairs of a positive and a negative example that the scores order rightly, ties
/// counted half (Mann and Whitney 1947). Nothing where one kind is missing. `positive[i]` is 0 or
/// 1; scores are finite.
std::optional<double> AreaUnderCurve(std::span<const double> scores,
                                     std::span<const std::uint8_t> positive);

/// Adds one task's Brier score, area, positives and calibration bins to `sums`. probabilities
/// [classes.size(), number of classes], finite; every class lies within.
void AddClassificationFigures(std::span<const double> probabilities,
                              std::span<const std::int64_t> classes, MetricSums& sums);

}  // namespace fedmeta
