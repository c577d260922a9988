#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "fedmeta/core/secret_bytes.h"
#include "fedmeta/privacy/secret_rng.h"

// For this room only. Secret sharing (Shamir 1979) over the field of p = 2^31 + 11 elements. The
// secret is a big-endian number in pieces of 31 bits, most significant first; each piece has a
// polynomial of its own, and a share is its values at x, as big-endian words of 32 bits.
namespace fedmeta {

inline constexpr std::uint64_t kShamirPrime = (std::uint64_t{1} << 31) + 11;

/// Bytes of a share of a secret of so many bytes.
constexpr std::size_t ShareBytes(std::size_t secret_bytes) {
  return (secret_bytes * 8 + 30) / 31 * 4;
}

/// Shares for x = 1 ... `shares`; any `threshold` of them give the secret, fewer say nothing of it.
std::vector<SecretBytes> SplitSecret(const SecretBytes& secret, std::size_t threshold,
                                     std::size_t shares, SecretRng& rng);

/// Puts secrets together from the shares at the same points: the weights (Lagrange) are computed
/// once.
class ShareCombiner {
 public:
  /// Distinct, from 1.
  explicit ShareCombiner(std::span<const std::uint32_t> points);
  /// `shares`: one a point, in that order. Nothing: a wrong length, a word that is no field
  /// element, or a result that no secret of `secret_bytes` has.
  std::optional<SecretBytes> Combine(std::span<const std::string_view> shares,
                                     std::size_t secret_bytes) const;

 private:
  std::vector<std::uint64_t> weights_;
};

}  // namespace fedmeta
