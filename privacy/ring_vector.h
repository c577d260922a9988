#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>
#include <variant>
#include <vector>

#include "fedmeta/core/bytes.h"
#include "fedmeta/core/result.h"

namespace fedmeta {

/// Width of the integers modulo 2^bits that are masked and summed: 8 to 32, or 64.
enum class RingBits : std::uint8_t { k32 = 32, k64 = 64 };
/// kInvalidArgument unless 8 to 32, or 64.
Result<RingBits> RingBitsOf(std::uint32_t bits);
/// Whether the ring is one of the narrow ones, whose words are packed on the wire.
inline bool IsNarrow(RingBits bits) { return bits < RingBits::k32; }

/// A vector over a ring. On the wire its words, little-endian, nothing else; narrow ones are packed
/// without gaps (privacy/packed_words.h). The last `wide` words of a narrow vector are over the
/// ring of 2^32 all the same: few, and worth their precision. Signed values are two's complement.
/// Thread-compatible.
class RingVector {
 public:
  RingVector() : RingVector(RingBits::k32, 0) {}
  /// Zeros. `wide` counts in `size`; without a narrow ring it means nothing.
  RingVector(RingBits bits, std::size_t size, std::size_t wide = 0);
  /// kInvalidArgument unless the bytes are those of `size` words.
  static Result<RingVector> FromBytes(RingBits bits, std::size_t size, std::size_t wide,
                                      std::span<const std::byte> bytes);

  RingBits bits() const { return bits_; }
  std::size_t size() const;
  std::size_t wire_size() const;  ///< bytes
  Bytes ToBytes() const;
  /// The same without a copy where the words are what is sent: `packed` holds the bytes else. Valid
  /// while neither changes.
  std::span<const std::byte> Wire(Bytes& packed) const;

  /// += modulo 2^bits. kInvalidArgument for another ring or size.
  Status Add(const RingVector& other);
  /// The same of a vector in its wire form, without a copy.
  Status AddBytes(std::span<const std::byte> bytes);
  /// Adds an integer (noise) to one word; `index` < size().
  void AddSigned(std::size_t index, std::int64_t value);
  /// The word as the signed integer nearest to zero.
  std::int64_t Signed(std::size_t index) const;

  /// function(index, value) for the first `count` words, as Signed has them; for loops over many.
  template <typename Function>
  void ForEachSigned(std::size_t count, Function&& function) const {
    std::visit(
        [&]<typename Word>(const std::vector<Word>& words) {
          using SignedWord = std::make_signed_t<Word>;
          const std::size_t narrow = std::min(count, packed());
          const unsigned unused = IsNarrow(bits_) ? 32 - width() : 0;
          for (std::size_t i = 0; i < narrow; ++i)
            function(i, std::int64_t{static_cast<SignedWord>(words[i] << unused) >> unused});
          for (std::size_t i = narrow; i < count; ++i)
            function(i, std::int64_t{static_cast<SignedWord>(words[i])});
        },
        words_);
  }

  /// Words of std::uint32_t or std::uint64_t, for loops over them. Of a narrow ring the lowest bits
  /// alone mean something: 2^bits divides 2^32, so that sums may carry into the others.
  template <typename Function>
  void Visit(Function&& function) {
    std::visit([&](auto& words) { function(std::span(words)); }, words_);
  }
  bool operator==(const RingVector& other) const;

 private:
  unsigned width() const { return static_cast<unsigned>(bits_); }
  std::size_t packed() const { return IsNarrow(bits_) ? size() - wide_ : 0; }  // words
  std::size_t packed_bytes() const;

  RingBits bits_;
  std::size_t wide_;
  std::variant<std::vector<std::uint32_t>, std::vector<std::uint64_t>> words_;
};

}  // namespace fedmeta
