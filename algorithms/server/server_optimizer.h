#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "fedmeta/core/bytes.h"
#include "fedmeta/core/result.h"

namespace fedmeta {

/// s <- s - step(mean). Element-wise, in double, state float32; source and equation in each .cc.
/// Not thread-safe.
class ServerOptimizer {
 public:
  virtual ~ServerOptimizer() = default;
  /// `first`: position of state[0] in the whole layout, so that moments keep their place when only
  /// some segments are optimised. `round` counts from 1 to `rounds`.
  virtual void Step(std::size_t first, std::span<float> state, std::span<const double> mean,
                    std::uint64_t round) = 0;
  /// Moments and counters; restoring makes the next Step continue bit-identically.
  virtual Bytes Save() const = 0;
  virtual Status Restore(std::span<const std::byte> saved) = 0;
};

struct OptimizerContext {
  std::size_t coordinates = 0;  ///< of the layout
  std::uint64_t rounds = 0;     ///< of the experiment, for schedules
};

}  // namespace fedmeta
