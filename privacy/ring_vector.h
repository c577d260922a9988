#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <variant>
#include <vector>

#include "fedmeta/core/bytes.h"
#include "fedmeta/core/result.h"

namespace fedmeta {

/// Integers modulo 2^32 or 2^64, as they are masked and summed.
enum class RingBits : std::uint8_t { k32 = 32, k64 = 64 };
/// kInvalidArgument unless 32 or 64.
Result<RingBits> RingBitsOf(std::uint32_t bits);
inline std::size_t BytesPerWord(RingBits bits) { return static_cast<std::size_t>(bits) / 8; }

/// A vector over one of the two rings. On the wire: its words, little-endian, nothing else. Signed
/// values are two's complement. Thread-compatible.
class RingVector {
 public:
  RingVector() : RingVector(RingBits::k32, 0) {}
  RingVector(RingBits bits, std::size_t size);  ///< zeros
  /// kInvalidArgument unless the bytes are whole words.
  static Result<RingVector> FromBytes(RingBits bits, std::span<const std::byte> bytes);

  RingBits bits() const;
  std::size_t size() const;
  std::span<const std::byte> bytes() const;

  /// += modulo 2^bits. kInvalidArgument for another ring or size.
  Status Add(const RingVector& other);
  /// The same of a vector in its wire form, without a copy.
  Status AddBytes(std::span<const std::byte> bytes);
  /// Adds an integer (noise) to one word; `index` < size().
  void AddSigned(std::size_t index, std::int64_t value);
  /// The word as the signed integer nearest to zero.
  std::int64_t Signed(std::size_t index) const;

  /// Words of std::uint32_t or std::uint64_t, for loops over them.
  template <typename Function>
  void Visit(Function&& function) {
    std::visit([&](auto& words) { function(std::span(words)); }, words_);
  }
  bool operator==(const RingVector&) const = default;

 private:
  std::variant<std::vector<std::uint32_t>, std::vector<std::uint64_t>> words_;
};

}  // namespace fedmeta
