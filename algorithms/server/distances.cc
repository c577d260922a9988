#include "fedmeta/algorithms/server/distances.h"

#include <algorithm>
#include <array>

namespace fedmeta {
namespace {

/// Sum of term(i) squared for i in [0, size), in interleaved parts: so many sums at a time hide
/// the additions' latency, and the compiler turns them into vector code at -O2.
template <typename Term>
double SumOfSquares(std::size_t size, Term term) {
  constexpr std::size_t kParts = 8;
  std::array<double, kParts> parts{};
  std::size_t at = 0;
  for (; at + kParts <= size; at += kParts) {
    for (std::size_t i = 0; i < kParts; ++i) {
      const double value = term(at + i);
      parts[i] += value * value;
    }
  }
  for (; at < size; ++at) {
    const double value = term(at);
    parts[at % kParts] += value * value;
  }
  double sum = 0;
  for (const double part : parts) sum += part;
  return sum;
}

}  // namespace

double SquaredNorm(std::span<const float> update) {
  const float* const a = update.data();
  return SumOfSquares(update.size(), [=](std::size_t i) { return static_cast<double>(a[i]); });
}

double SquaredDistance(std::span<const float> update, std::span<const double> point) {
  const float* const a = update.data();
  const double* const b = point.data();
  return SumOfSquares(update.size(), [=](std::size_t i) { return a[i] - b[i]; });
}

std::vector<double> SquaredDistances(Updates updates) {
  // A block of all updates stays in the cache while each two are compared.
  constexpr std::size_t kBlock = 1024;
  const std::size_t n = updates.size(), size = updates.front().size();
  std::vector<double> distances(n * n);
  for (std::size_t first = 0; first < size; first += kBlock) {
    const std::size_t length = std::min(kBlock, size - first);
    for (std::size_t j = 0; j < n; ++j) {
      for (std::size_t k = j + 1; k < n; ++k) {
        const float* const a = updates[j].data() + first;
        const float* const b = updates[k].data() + first;
        distances[j * n + k] +=
            SumOfSquares(length, [=](std::size_t i) { return static_cast<double>(a[i]) - b[i]; });
      }
    }
  }
  for (std::size_t j = 0; j < n; ++j) {
    for (std::size_t k = j + 1; k < n; ++k) distances[k * n + j] = distances[j * n + k];
  }
  return distances;
}

void AddScaled(double factor, std::span<const float> update, std::span<double> to) {
  for (std::size_t i = 0; i < to.size(); ++i) to[i] += factor * update[i];
}

void MeanOf(Updates updates, std::span<const std::size_t> chosen, std::span<double> result) {
  std::ranges::fill(result, 0.0);
  for (const std::size_t k : chosen) AddScaled(1, updates[k], result);
  for (double& value : result) value /= static_cast<double>(chosen.size());
}

}  // namespace fedmeta
