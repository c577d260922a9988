#pragma once

#include <cstdint>

#include "fedmeta/core/result.h"
#include "fedmeta/privacy/secret_rng.h"

namespace fedmeta {

/// The discrete Gaussian: integers x with probability proportional to exp(-x^2 / (2 sigma^2)), and
/// no others. Sampled exactly, with integer arithmetic alone, by rejection from a discrete Laplace
/// distribution of scale sigma (Canonne, Kamath, Steinke 2020, "The discrete Gaussian for
/// differential privacy", algorithms 1 to 3): no floating-point number whose low bits could tell
/// what was added to it. Only draws beyond 2^63 are left out, of probability below e^-8000.
///
/// How long a draw takes depends on what is drawn, not on what it is added to. About half a
/// microsecond.
class DiscreteGaussian {
 public:
  /// kInvalidArgument unless 1 <= sigma <= kLargestSigma.
  static Result<DiscreteGaussian> Create(std::uint64_t sigma);
  static constexpr std::uint64_t kLargestSigma = std::uint64_t{1} << 56U;

  std::int64_t Draw(SecretRng& rng) const;
  std::uint64_t sigma() const { return sigma_; }

 private:
  explicit DiscreteGaussian(std::uint64_t sigma) : sigma_(sigma) {}
  std::uint64_t sigma_;
};

}  // namespace fedmeta
