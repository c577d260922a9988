#include "fedmeta/privacy/ring_vector.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <functional>
#include <string>
#include <type_traits>

#include "fedmeta/core/check.h"
#include "fedmeta/privacy/word_loops.h"

namespace fedmeta {
namespace {

template <typename Word>
std::span<const std::byte> BytesOf(const std::vector<Word>& words) {
  return std::as_bytes(std::span(words));
}

}  // namespace

Result<RingBits> RingBitsOf(std::uint32_t bits) {
  if (bits != 32 && bits != 64) {
    return Error(ErrorCode::kInvalidArgument,
                 "a ring has 32 or 64 bits, got " + std::to_string(bits));
  }
  return static_cast<RingBits>(bits);
}

RingVector::RingVector(RingBits bits, std::size_t size) {
  if (bits == RingBits::k32) {
    words_.emplace<0>(size);
  } else {
    words_.emplace<1>(size);
  }
}

Result<RingVector> RingVector::FromBytes(RingBits bits, std::span<const std::byte> bytes) {
  const std::size_t width = BytesPerWord(bits);
  if (bytes.size() % width != 0) {
    return Error(ErrorCode::kInvalidArgument, "a vector of " + std::to_string(8 * width) +
                                                  "-bit words cannot have " +
                                                  std::to_string(bytes.size()) + " bytes");
  }
  RingVector vector(bits, bytes.size() / width);
  if (!bytes.empty()) {
    vector.Visit([&](auto words) { std::memcpy(words.data(), bytes.data(), bytes.size()); });
  }
  return vector;
}

RingBits RingVector::bits() const { return words_.index() == 0 ? RingBits::k32 : RingBits::k64; }

std::size_t RingVector::size() const {
  return std::visit([](const auto& words) { return words.size(); }, words_);
}

std::span<const std::byte> RingVector::bytes() const {
  return std::visit([](const auto& words) { return BytesOf(words); }, words_);
}

Status RingVector::Add(const RingVector& other) {
  if (other.bits() != bits()) {
    return Error(ErrorCode::kInvalidArgument, "vectors over different rings cannot be added");
  }
  return AddBytes(other.bytes());
}

Status RingVector::AddBytes(std::span<const std::byte> bytes) {
  const std::size_t expected = this->bytes().size();
  if (bytes.size() != expected) {
    return Error(ErrorCode::kInvalidArgument, "bytes of the vector must be " +
                                                  std::to_string(expected) + ", got " +
                                                  std::to_string(bytes.size()));
  }
  Visit([&]<typename Word>(std::span<Word> words) {
    constexpr std::size_t kPiece = 4096 / sizeof(Word);
    std::array<Word, kPiece> piece;  // the bytes need not be aligned
    for (std::size_t at = 0; at < words.size(); at += kPiece) {
      const std::span<Word> part = words.subspan(at, std::min(kPiece, words.size() - at));
      std::memcpy(piece.data(), bytes.data() + at * sizeof(Word), part.size_bytes());
      CombineWords(piece.data(), part.data(), part.size(), std::plus<Word>());
    }
  });
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
  return std::visit(
      [&]<typename Word>(const std::vector<Word>& words) {
        return static_cast<std::int64_t>(static_cast<std::make_signed_t<Word>>(words[index]));
      },
      words_);
}

}  // namespace fedmeta
