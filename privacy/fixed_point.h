#pragma once

#include <bit>
#include <cmath>
#include <cstdint>

#include "fedmeta/core/rng.h"

// For this room only.
namespace fedmeta {

/// Nearest integer of |value| < 2^63, ties to even, as a two's-complement word. Adding 1.5 x 2^52
/// to a |value| < 2^51 leaves its nearest integer in the low bits of the representation; the value
/// is split at 2^32, exactly, so that both parts are small enough. Unlike llrint this needs no
/// instruction that baseline x86-64 lacks in vector form.
inline std::uint64_t RoundToWord(double value) {
  constexpr double kMagic = 0x1.8p52;
  const auto integer_bits = [=](double shifted) {
    return std::bit_cast<std::uint64_t>(shifted) - std::bit_cast<std::uint64_t>(kMagic);
  };
  const double high = value * 0x1p-32 + kMagic;
  const double low = value - (high - kMagic) * 0x1p32;
  return (integer_bits(high) << 32) + integer_bits(low + kMagic);
}

/// An integer next to `value`, `value` itself on average.
inline double RoundAtRandom(double value, Rng& rng) {
  return std::floor(value + rng.Next() * 0x1p-32);
}

}  // namespace fedmeta
