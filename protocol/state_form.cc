#include "fedmeta/protocol/state_form.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <string>
#include <type_traits>

namespace fedmeta {
namespace {

constexpr float kLargestHalf = 65504;

/// Calls `take` with the coordinates and the bytes of each segment, and whether it is halved.
template <typename Take>
void EachSegment(const StateLayout& layout, bool half, const Take& take) {
  std::size_t at = 0;  // bytes
  for (std::size_t s = 0; s < layout.segments().size(); ++s) {
    const std::size_t size = layout.segment_size(s);
    const bool halved = half && layout.segments()[s].rule == ServerRule::kOptimize;
    const std::size_t bytes = size * (halved ? sizeof(std::uint16_t) : sizeof(float));
    take(layout.segment_offset(s), size, at, bytes, halved);
    at += bytes;
  }
}

}  // namespace

std::uint16_t ToHalf(float value) {
  return std::bit_cast<std::uint16_t>(
      static_cast<_Float16>(std::clamp(value, -kLargestHalf, kLargestHalf)));
}

float FromHalf(std::uint16_t bits) { return static_cast<float>(std::bit_cast<_Float16>(bits)); }

std::size_t StateBytes(const StateLayout& layout, bool half) {
  std::size_t total = 0;
  EachSegment(layout, half, [&](std::size_t, std::size_t, std::size_t, std::size_t bytes, bool) {
    total += bytes;
  });
  return total;
}

Bytes WriteState(const StateLayout& layout, bool half, std::span<const float> state) {
  Bytes content(StateBytes(layout, half));
  EachSegment(
      layout, half,
      [&](std::size_t offset, std::size_t size, std::size_t at, std::size_t bytes, bool halved) {
        if (!halved) {
          std::memcpy(content.data() + at, state.data() + offset, bytes);
          return;
        }
        for (std::size_t i = 0; i < size; ++i) {
          const std::uint16_t bits = ToHalf(state[offset + i]);
          std::memcpy(content.data() + at + i * sizeof(bits), &bits, sizeof(bits));
        }
      });
  return content;
}

Status ReadState(const StateLayout& layout, bool half, std::span<const std::byte> content,
                 std::span<float> state) {
  if (content.size() != StateBytes(layout, half)) {
    return Error(ErrorCode::kInvalidArgument, "a state of this layout has " +
                                                  std::to_string(StateBytes(layout, half)) +
                                                  " bytes, got " + std::to_string(content.size()));
  }
  EachSegment(
      layout, half,
      [&](std::size_t offset, std::size_t size, std::size_t at, std::size_t bytes, bool halved) {
        if (!halved) {
          std::memcpy(state.data() + offset, content.data() + at, bytes);
          return;
        }
        for (std::size_t i = 0; i < size; ++i) {
          std::uint16_t bits;
          std::memcpy(&bits, content.data() + at + i * sizeof(bits), sizeof(bits));
          state[offset + i] = FromHalf(bits);
        }
      });
  return {};
}

}  // namespace fedmeta
