#include "fedmeta/privacy/random_rotation.h"

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "fedmeta/core/check.h"

namespace fedmeta {
namespace {

// Of one rotation, all coordinates together.
constexpr double kChanceBeyondBound = 1e-3;

std::vector<bool> DrawSigns(std::size_t size, Rng& rng) {
  std::vector<bool> signs(size);
  std::uint32_t word = 0;
  for (std::size_t i = 0; i < size; ++i, word >>= 1) {
    if (i % 32 == 0) word = rng.Next();
    signs[i] = (word & 1) != 0;
  }
  return signs;
}

template <typename T>
void Flip(const std::vector<bool>& signs, std::span<T> values) {
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = signs[i] ? -values[i] : values[i];
}

/// Its own inverse.
template <typename T>
void WalshHadamard(std::span<T> values) {
  for (std::size_t half = 1; half < values.size(); half *= 2) {
    for (std::size_t at = 0; at < values.size(); at += 2 * half) {
      T* const __restrict low = values.data() + at;
      T* const __restrict high = low + half;
      for (std::size_t i = 0; i < half; ++i) {
        const T a = low[i], b = high[i];
        low[i] = a + b;
        high[i] = a - b;
      }
    }
  }
  const T scale = static_cast<T>(1 / std::sqrt(static_cast<double>(values.size())));
  for (T& value : values) value *= scale;
}

}  // namespace

RandomRotation::RandomRotation(std::size_t size, Rng& signs) : size_(size) {
  FEDMETA_CHECK(size > 0);
  first_ = DrawSigns(block(), signs);
  if (block() < size_) last_ = DrawSigns(block(), signs);
}

void RandomRotation::Apply(std::span<float> values) const {
  FEDMETA_CHECK(values.size() == size_);
  Flip(first_, values.first(block()));
  WalshHadamard(values.first(block()));
  if (last_.empty()) return;
  Flip(last_, values.last(block()));
  WalshHadamard(values.last(block()));
}

void RandomRotation::Invert(std::span<double> values) const {
  FEDMETA_CHECK(values.size() == size_);
  if (!last_.empty()) {
    WalshHadamard(values.last(block()));
    Flip(last_, values.last(block()));
  }
  WalshHadamard(values.first(block()));
  Flip(first_, values.first(block()));
}

double RotatedBound(std::size_t size, double norm) {
  const double block = static_cast<double>(std::bit_floor(size));
  const double deviations =
      std::sqrt(2 * std::log(2 * static_cast<double>(size) / kChanceBeyondBound));
  return norm * std::min(1.0, deviations / std::sqrt(block));
}

}  // namespace fedmeta
