#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "fedmeta/algorithms/server/robust_aggregator.h"

// For this room only. Sums run in float64, in an order that is fixed.
namespace fedmeta {

double SquaredNorm(std::span<const float> update);
double SquaredDistance(std::span<const float> update, std::span<const double> point);

/// Squared distances of each two updates, n x n, row by row. Taken of the differences, not from
/// inner products: far from 0 these would cancel.
std::vector<double> SquaredDistances(Updates updates);

/// to += factor x update.
void AddScaled(double factor, std::span<const float> update, std::span<double> to);

/// result = the mean of the updates that `chosen` names.
void MeanOf(Updates updates, std::span<const std::size_t> chosen, std::span<double> result);

}  // namespace fedmeta
