#include "fedmeta/core/bootstrap.h"

#include <algorithm>
#include <numeric>
#include <vector>

namespace fedmeta {
namespace {

constexpr std::size_t kDraws = 2000;

}  // namespace

Interval BootstrapMean(std::span<const double> values, Rng& rng) {
  if (values.empty()) return {};
  const auto count = static_cast<double>(values.size());
  std::vector<double> means(kDraws);
  for (double& mean : means) {
    double sum = 0;
    for (std::size_t i = 0; i < values.size(); ++i) sum += values[rng.Below(values.size())];
    mean = sum / count;
  }
  std::sort(means.begin(), means.end());
  return {.mean = std::accumulate(values.begin(), values.end(), 0.0) / count,
          .low = means[kDraws / 40],
          .high = means[kDraws - 1 - kDraws / 40]};
}

}  // namespace fedmeta
