#include "fedmeta/privacy/ring_vector.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <functional>
#include <string>
#include <type_traits>

#include "fedmeta/core/check.h"
#include "fedmeta/privacy/packed_words.h"
#include "fedmeta/privacy/word_loops.h"

namespace fedmeta {
namespace {

/// Calls `add(piece, part)` for pieces of the bytes, which need not be aligned, and the words that
/// they are added to.
template <typename Word, typename Read>
void AddPieces(std::span<Word> words, std::size_t piece_words, const Read& read) {
  std::array<Word, 4096 / sizeof(Word)> piece;
  for (std::size_t at = 0; at < words.size(); at += piece_words) {
    const std::span<Word> part = words.subspan(at, std::min(piece_words, words.size() - at));
    read(at, std::span(piece).first(part.size()));
    CombineWords(piece.data(), part.data(), part.size(), std::plus<Word>());
  }
}

/// `words` += as many little-endian words.
template <typename Word>
void AddWhole(std::span<const std::byte> bytes, std::span<Word> words) {
  AddPieces(words, 4096 / sizeof(Word), [&](std::size_t at, std::span<Word> piece) {
    std::memcpy(piece.data(), bytes.data() + at * sizeof(Word), piece.size_bytes());
  });
}

void AddPacked(std::span<const std::byte> bytes, unsigned bits, std::span<std::uint32_t> words) {
  // A multiple of eight words begins with a byte.
  constexpr std::size_t kPiece = 1024;
  AddPieces(words, kPiece, [&](std::size_t at, std::span<std::uint32_t> piece) {
    UnpackWords(bytes.subspan(PackedBytes(at, bits), PackedBytes(piece.size(), bits)), bits, piece);
  });
}

}  // namespace

Result<RingBits> RingBitsOf(std::uint32_t bits) {
  if (bits < 8 || (bits > 32 && bits != 64)) {
    return Error(ErrorCode::kInvalidArgument,
                 "a ring has 8 to 32 or 64 bits, got " + std::to_string(bits));
  }
  return static_cast<RingBits>(bits);
}

RingVector::RingVector(RingBits bits, std::size_t size, std::size_t wide)
    : bits_(bits), wide_(IsNarrow(bits) ? wide : 0) {
  FEDMETA_CHECK(wide_ <= size);
  if (bits == RingBits::k64) {
    words_.emplace<1>(size);
  } else {
    words_.emplace<0>(size);
  }
}

Result<RingVector> RingVector::FromBytes(RingBits bits, std::size_t size, std::size_t wide,
                                         std::span<const std::byte> bytes) {
  RingVector vector(bits, size, wide);
  FEDMETA_RETURN_IF_ERROR(vector.AddBytes(bytes));
  return vector;
}

std::size_t RingVector::size() const {
  return std::visit([](const auto& words) { return words.size(); }, words_);
}

std::size_t RingVector::packed_bytes() const {
  return IsNarrow(bits_) ? PackedBytes(packed(), width()) : 0;
}

std::size_t RingVector::wire_size() const {
  const std::size_t whole = size() - packed();
  return packed_bytes() + whole * (bits_ == RingBits::k64 ? 8 : 4);
}

Bytes RingVector::ToBytes() const {
  Bytes bytes(wire_size());
  std::visit(
      [&]<typename Word>(const std::vector<Word>& words) {
        if constexpr (std::is_same_v<Word, std::uint32_t>) {
          if (IsNarrow(bits_)) {
            PackWords(std::span(words).first(packed()), width(),
                      std::span(bytes).first(packed_bytes()));
          }
        }
        const auto whole = std::as_bytes(std::span(words).subspan(packed()));
        std::copy(whole.begin(), whole.end(),
                  bytes.end() - static_cast<std::ptrdiff_t>(whole.size()));
      },
      words_);
  return bytes;
}

std::span<const std::byte> RingVector::Wire(Bytes& packed) const {
  if (IsNarrow(bits_)) {
    packed = ToBytes();
    return packed;
  }
  return std::visit([](const auto& words) { return std::as_bytes(std::span(words)); }, words_);
}

Status RingVector::Add(const RingVector& other) {
  if (other.bits_ != bits_ || other.wide_ != wide_ || other.size() != size()) {
    return Error(ErrorCode::kInvalidArgument,
                 "vectors over different rings or of different sizes cannot be added");
  }
  Visit([&]<typename Word>(std::span<Word> words) {
    const auto& from = std::get<std::vector<Word>>(other.words_);
    CombineWords(from.data(), words.data(), words.size(), std::plus<Word>());
  });
  return {};
}

Status RingVector::AddBytes(std::span<const std::byte> bytes) {
  if (bytes.size() != wire_size()) {
    return Error(ErrorCode::kInvalidArgument, "bytes of the vector must be " +
                                                  std::to_string(wire_size()) + ", got " +
                                                  std::to_string(bytes.size()));
  }
  const auto narrow = bytes.first(packed_bytes());
  if (IsNarrow(bits_) && !HasCleanEnd(narrow, packed(), width())) {
    return Error(ErrorCode::kInvalidArgument,
                 "the bits after the last of a vector's packed words must be zero");
  }
  const auto whole = bytes.subspan(narrow.size());
  if (auto* words = std::get_if<std::vector<std::uint32_t>>(&words_)) {
    AddPacked(narrow, width(), std::span(*words).first(packed()));
    AddWhole(whole, std::span(*words).subspan(packed()));
  } else {
    AddWhole(whole, std::span(std::get<std::vector<std::uint64_t>>(words_)));
  }
  return {};
}

void RingVector::AddSigned(std::size_t index, std::int64_t value) {
  FEDMETA_CHECK(index < size());
  Visit([&]<typename Word>(std::span<Word> words) {
    words[index] += static_cast<Word>(std::bit_cast<std::uint64_t>(value));
  });
}

std::int64_t RingVector::Signed(std::size_t index) const {
  FEDMETA_CHECK(index < size());
  if (const auto* words = std::get_if<std::vector<std::uint32_t>>(&words_))
    return SignExtended((*words)[index], index < packed() ? width() : 32);
  return std::bit_cast<std::int64_t>(std::get<std::vector<std::uint64_t>>(words_)[index]);
}

bool RingVector::operator==(const RingVector& other) const {
  if (bits_ != other.bits_ || wide_ != other.wide_ || size() != other.size()) return false;
  return IsNarrow(bits_) ? ToBytes() == other.ToBytes() : words_ == other.words_;
}

}  // namespace fedmeta
