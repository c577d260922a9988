#pragma once

#include <cstdint>

#include "fedmeta/core/check.h"

namespace fedmeta {

/// Uniform in [0, bound), without bias, from a generator's Next64(): draws below 2^64 mod bound are
/// thrown away. bound > 0.
template <typename Generator>
std::uint64_t UniformBelow(Generator& generator, std::uint64_t bound) {
  FEDMETA_CHECK(bound > 0);
  const std::uint64_t limit = -bound % bound;
  for (;;) {
    const std::uint64_t draw = generator.Next64();
    if (draw >= limit) return draw % bound;
  }
}

}  // namespace fedmeta
