#pragma once

#include <cstdint>
#include <utility>

#include "fedmeta/core/result.h"
#include "fedmeta/privacy/ring_vector.h"
#include "fedmeta/privacy/secret_rng.h"
#include "fedmeta/v1/differential_privacy.pb.h"

namespace fedmeta {

/// Members whose noise is not counted on, of `members`: those that are assumed, else as many as a
/// session withstands; at least one, since a member knows its own.
std::uint32_t UncountedNoise(const v1::PrivacyTerms& terms, std::uint32_t members);

/// What one member of a sum adds to its vector below the masks, mode distributed: discrete Gaussian
/// noise, so wide that the noise of all members but those not counted on is as wide as the account
/// says. Made by PrivateSum. Immutable, thread-safe.
class LocalNoise {
 public:
  struct Options {
    v1::PrivacyTerms terms;
    std::uint64_t sigma = 1;                ///< of the noise that the account counts on
    std::uint32_t minimum = 2, cohort = 2;  ///< fewest and most members of a sum
  };
  explicit LocalNoise(Options options) : options_(std::move(options)) {}

  /// Standard deviation of one member's noise, in units of the ring; `members` > 1.
  std::uint64_t Sigma(std::uint32_t members) const;
  /// Fresh noise, for a sum of so many. kInvalidArgument: a sum of that size cannot be made.
  Status AddTo(RingVector& vector, std::uint32_t members, SecretRng& rng) const;

 private:
  Options options_;
};

/// Adds discrete Gaussian noise to every coordinate.
Status AddNoise(RingVector& vector, std::uint64_t sigma, SecretRng& rng);

}  // namespace fedmeta
