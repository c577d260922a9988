#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "fedmeta/core/bytes.h"
#include "fedmeta/core/result.h"
#include "fedmeta/core/state_layout.h"

namespace fedmeta {

/// How a state travels to clients: float32 little-endian, or `half`: segments with the rule
/// kOptimize as IEEE 754 binary16, rounded to nearest, ties to even, and cut to the largest finite
/// value. Of weights that keeps 11 significant bits where bfloat16 would keep 8; its smaller range
/// (6e-8 to 65504) is that of no weight that still learns. Averages and control variates stay
/// float32: the former may be large, the latter tiny.
std::size_t StateBytes(const StateLayout& layout, bool half);
Bytes WriteState(const StateLayout& layout, bool half, std::span<const float> state);
/// kInvalidArgument: not StateBytes. `state` is layout.size().
Status ReadState(const StateLayout& layout, bool half, std::span<const std::byte> bytes,
                 std::span<float> state);

/// The bits of the binary16 nearest to a value, ties to even, cut to the largest finite one.
std::uint16_t ToHalf(float value);
float FromHalf(std::uint16_t bits);

}  // namespace fedmeta
