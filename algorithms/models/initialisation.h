#pragma once

#include <cmath>
#include <cstdint>
#include <vector>

#include "fedmeta/core/rng.h"

namespace fedmeta {

/// Appends `count` values of U(-1/sqrt(fan_in), 1/sqrt(fan_in)): what PyTorch's default
/// (kaiming_uniform with a = sqrt(5); the bias bound) comes to for weights and biases of linear and
/// convolution layers.
inline void AppendUniform(std::vector<float>& values, std::int64_t count, std::int64_t fan_in,
                          Rng& rng) {
  const double bound = 1.0 / std::sqrt(static_cast<double>(fan_in));
  for (std::int64_t i = 0; i < count; ++i) {
    values.push_back(static_cast<float>(rng.Uniform(-bound, bound)));
  }
}

}  // namespace fedmeta
