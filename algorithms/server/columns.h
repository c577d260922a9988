#pragma once

#include <algorithm>
#include <cstddef>
#include <span>
#include <vector>

#include "fedmeta/algorithms/server/robust_aggregator.h"

// For this room only.
namespace fedmeta {

/// result[i] = of_column(the updates' values of coordinate i, which it may reorder). Updates lie
/// one after the other, so they are turned in blocks that stay in the cache.
template <typename OfColumn>
void CombineColumns(Updates updates, std::span<double> result, OfColumn of_column) {
  constexpr std::size_t kBlock = 256;
  const std::size_t n = updates.size();
  std::vector<float> columns(kBlock * n);
  for (std::size_t first = 0; first < result.size(); first += kBlock) {
    const std::size_t size = std::min(kBlock, result.size() - first);
    for (std::size_t k = 0; k < n; ++k) {
      const float* const row = updates[k].data() + first;
      for (std::size_t i = 0; i < size; ++i) columns[i * n + k] = row[i];
    }
    for (std::size_t i = 0; i < size; ++i)
      result[first + i] = of_column(std::span(columns).subspan(i * n, n));
  }
}

/// Of an even number of values the mean of the two in the middle. Reorders them; at least one.
template <typename Value>
double Median(std::span<Value> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  if (values.size() % 2 == 1) return *middle;
  return (static_cast<double>(*std::max_element(values.begin(), middle)) + *middle) / 2;
}

}  // namespace fedmeta
