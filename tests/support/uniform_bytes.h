#pragma once

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>

#include <gtest/gtest.h>

namespace fedmeta {

/// Chi-square of the bytes and of the differences of neighbours. Finds bias; it does not prove that
/// masks are unpredictable, which rests on AES and X25519.
inline void ExpectUniformBytes(std::span<const std::byte> sample) {
  std::array<double, 256> bytes{}, steps{};
  std::byte before{};
  for (const std::byte byte : sample) {
    ++bytes[static_cast<std::size_t>(byte)];
    ++steps[static_cast<std::uint8_t>(static_cast<unsigned>(byte) - static_cast<unsigned>(before))];
    before = byte;
  }
  const double expected = static_cast<double>(sample.size()) / 256;
  for (const auto& counts : {bytes, steps}) {
    double chi_square = 0;
    for (const double count : counts) chi_square += std::pow(count - expected, 2) / expected;
    // 255 degrees of freedom: beyond these bounds once in ten million each.
    EXPECT_GT(chi_square, 150);
    EXPECT_LT(chi_square, 391);
  }
}

}  // namespace fedmeta
