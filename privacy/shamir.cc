#include "fedmeta/privacy/shamir.h"

#include <string_view>

#include <openssl/crypto.h>

#include "fedmeta/core/check.h"

namespace fedmeta {
namespace {

constexpr std::size_t kPieceBits = 31;

// Words that are cleansed when they go.
struct SecretWords {
  explicit SecretWords(std::size_t size) : words(size) {}
  ~SecretWords() { OPENSSL_cleanse(words.data(), words.size() * sizeof(words[0])); }
  SecretWords(const SecretWords&) = delete;
  SecretWords& operator=(const SecretWords&) = delete;
  std::vector<std::uint64_t> words;
};

std::uint64_t Power(std::uint64_t base, std::uint64_t exponent) {
  std::uint64_t result = 1;
  for (; exponent != 0; exponent >>= 1) {
    if ((exponent & 1) != 0) result = result * base % kShamirPrime;
    base = base * base % kShamirPrime;
  }
  return result;
}

std::uint32_t LoadWord(std::string_view share, std::size_t index) {
  std::uint32_t word = 0;
  for (std::size_t i = 0; i < 4; ++i)
    word = word << 8 | static_cast<unsigned char>(share[4 * index + i]);
  return word;
}

void StoreWord(std::uint64_t word, std::string& share, std::size_t index) {
  for (std::size_t i = 0; i < 4; ++i)
    share[4 * index + i] = static_cast<char>(word >> (8 * (3 - i)) & 0xff);
}

// The bit of that weight, of a big-endian number.
std::size_t ByteOf(std::size_t bit, std::size_t bytes) { return bytes - 1 - bit / 8; }

void ToPieces(std::string_view secret, std::vector<std::uint64_t>& pieces) {
  for (std::size_t bit = 0; bit < secret.size() * 8; ++bit) {
    const auto byte = static_cast<unsigned char>(secret[ByteOf(bit, secret.size())]);
    const std::uint64_t value = byte >> (bit % 8) & 1U;
    pieces[pieces.size() - 1 - bit / kPieceBits] |= value << (bit % kPieceBits);
  }
}

std::optional<SecretBytes> FromPieces(const std::vector<std::uint64_t>& pieces,
                                      std::size_t secret_bytes) {
  std::string secret(secret_bytes, '\0');
  std::uint64_t beyond = 0;
  for (std::size_t bit = 0; bit < pieces.size() * kPieceBits; ++bit) {
    const std::uint64_t value =
        pieces[pieces.size() - 1 - bit / kPieceBits] >> (bit % kPieceBits) & 1;
    if (bit >= secret_bytes * 8) {
      beyond |= value;
    } else {
      char& byte = secret[ByteOf(bit, secret_bytes)];
      byte = static_cast<char>(static_cast<unsigned char>(byte) | value << (bit % 8));
    }
  }
  for (const std::uint64_t piece : pieces) beyond |= piece >> kPieceBits;
  std::optional<SecretBytes> result;
  if (beyond == 0) result.emplace(secret);
  OPENSSL_cleanse(secret.data(), secret.size());
  return result;
}

}  // namespace

std::vector<SecretBytes> SplitSecret(const SecretBytes& secret, std::size_t threshold,
                                     std::size_t shares, SecretRng& rng) {
  FEDMETA_CHECK(threshold >= 1 && threshold <= shares && shares < kShamirPrime);
  const std::size_t count = ShareBytes(secret.Expose().size()) / 4;
  SecretWords pieces(count);
  ToPieces(secret.Expose(), pieces.words);
  SecretWords coefficients(count * (threshold - 1));  // by piece, from the first power on
  for (std::uint64_t& coefficient : coefficients.words) coefficient = rng.Below(kShamirPrime);
  std::vector<SecretBytes> split;
  std::string share(4 * count, '\0');
  for (std::uint64_t x = 1; x <= shares; ++x) {
    for (std::size_t piece = 0; piece < count; ++piece) {
      std::uint64_t value = 0;
      for (std::size_t power = threshold - 1; power > 0; --power) {
        value += coefficients.words[piece * (threshold - 1) + power - 1];
        value = value % kShamirPrime * x % kShamirPrime;
      }
      StoreWord((value + pieces.words[piece]) % kShamirPrime, share, piece);
    }
    split.emplace_back(share);
  }
  OPENSSL_cleanse(share.data(), share.size());
  return split;
}

ShareCombiner::ShareCombiner(std::span<const std::uint32_t> points) {
  for (const std::uint64_t x : points) {
    // At zero: the product of x_j / (x_j - x) over the others.
    std::uint64_t numerator = 1, denominator = 1;
    for (const std::uint64_t other : points) {
      if (other == x) continue;
      numerator = numerator * other % kShamirPrime;
      denominator = denominator * ((other + kShamirPrime - x) % kShamirPrime) % kShamirPrime;
    }
    weights_.push_back(numerator * Power(denominator, kShamirPrime - 2) % kShamirPrime);
  }
}

std::optional<SecretBytes> ShareCombiner::Combine(std::span<const std::string_view> shares,
                                                  std::size_t secret_bytes) const {
  FEDMETA_CHECK(shares.size() == weights_.size());
  SecretWords pieces(ShareBytes(secret_bytes) / 4);
  for (std::size_t i = 0; i < shares.size(); ++i) {
    if (shares[i].size() != ShareBytes(secret_bytes)) return {};
    for (std::size_t piece = 0; piece < pieces.words.size(); ++piece) {
      const std::uint64_t word = LoadWord(shares[i], piece);
      if (word >= kShamirPrime) return {};
      pieces.words[piece] = (pieces.words[piece] + word * weights_[i]) % kShamirPrime;
    }
  }
  return FromPieces(pieces.words, secret_bytes);
}

}  // namespace fedmeta
