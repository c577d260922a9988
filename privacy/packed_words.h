#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "fedmeta/core/bytes.h"

// For this room only.
namespace fedmeta {

// Words of `bits` (1 to 32) bits each, one after the other without gaps: the first bit of a word is
// its lowest, the first bit of the bytes the lowest of the first byte. What the last byte has left
// over is zero.

/// Bytes of `words` words.
constexpr std::size_t PackedBytes(std::size_t words, unsigned bits) {
  return words / 8 * bits + (words % 8 * bits + 7) / 8;
}
/// The lowest `bits` of each word; `packed` is exactly PackedBytes long.
void PackWords(std::span<const std::uint32_t> words, unsigned bits, std::span<std::byte> packed);
/// Inverse; the rest of each word is zero.
void UnpackWords(std::span<const std::byte> packed, unsigned bits, std::span<std::uint32_t> words);
/// Whether the bits beyond the last word are zero: one vector has one form on the wire.
bool HasCleanEnd(std::span<const std::byte> packed, std::size_t words, unsigned bits);
/// The lowest `bits` of a word as two's complement.
constexpr std::int32_t SignExtended(std::uint32_t word, unsigned bits) {
  const unsigned spare = 32 - bits;
  return static_cast<std::int32_t>(word << spare) >> spare;
}

}  // namespace fedmeta
