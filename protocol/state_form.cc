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

// By bits, because not every compiler knows _Float16. IEEE 754: to nearest, ties to even.
std::uint16_t ToHalf(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(std::clamp(value, -kLargestHalf, kLargestHalf));
  const std::uint32_t sign = bits >> 16 & 0x8000, magnitude = bits & 0x7fffffff;
  std::uint32_t half = 0;
  if (magnitude > 0x7f800000) {
    half = 0x7e00 | (magnitude >> 13 & 0x3ff);  // not a number
  } else if (magnitude < 0x38800000) {
    // Below 2^-14 halves are multiples of 2^-24, as floats from 0.5 on are.
    half = std::bit_cast<std::uint32_t>(std::bit_cast<float>(magnitude) + 0.5F) -
           std::bit_cast<std::uint32_t>(0.5F);
  } else {
    half = ((magnitude + 0xfff + (magnitude >> 13 & 1)) >> 13) - (112 << 10);
  }
  return static_cast<std::uint16_t>(sign | half);
}

float FromHalf(std::uint16_t bits) {
  const std::uint32_t sign = std::uint32_t{bits} >> 15 << 31, magnitude = bits & 0x7fff;
  std::uint32_t single = 0;
  if (magnitude >= 0x7c00) {
    single = 0x7f800000 | magnitude << 13 | (magnitude > 0x7c00 ? 0x400000 : 0);  // quiet
  } else if (magnitude < 0x400) {
    single = std::bit_cast<std::uint32_t>(static_cast<float>(magnitude) * 0x1p-24F);
  } else {
    single = (magnitude << 13) + (112U << 23);
  }
  return std::bit_cast<float>(sign | single);
}

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
