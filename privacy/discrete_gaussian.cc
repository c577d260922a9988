#include "fedmeta/privacy/discrete_gaussian.h"

#include <limits>
#include <string>

namespace fedmeta {
namespace {

__extension__ using Wide = unsigned __int128;

/// Single random bits, from one word at a time.
class Coin {
 public:
  explicit Coin(SecretRng& rng) : rng_(rng) {}
  bool Flip() {
    if (left_ == 0) {
      word_ = rng_.Next64();
      left_ = 64;
    }
    const bool bit = (word_ & 1U) != 0;
    word_ >>= 1U;
    --left_;
    return bit;
  }

 private:
  SecretRng& rng_;
  std::uint64_t word_ = 0;
  unsigned left_ = 0;
};

/// True with probability p / q exactly; p <= q < 2^127, q > 0. The binary digits of p / q are
/// compared with random ones until they differ: two, on average.
bool Bernoulli(Wide p, Wide q, Coin& coin) {
  for (;;) {
    p <<= 1U;
    const bool digit = p >= q;
    if (digit) p -= q;
    if (coin.Flip() != digit) return digit;
  }
}

/// True with probability exp(-p / q), for p <= q (algorithm 1): the first k at which a coin of
/// probability (p / q) / k fails is odd.
bool BernoulliExpUpToOne(Wide p, Wide q, Coin& coin) {
  Wide k = 1;
  while (Bernoulli(p, q, coin) && Bernoulli(1, k, coin)) ++k;
  return (k & 1U) != 0;
}

bool BernoulliExp(Wide p, Wide q, Coin& coin) {
  for (; p > q; p -= q) {
    if (!BernoulliExpUpToOne(1, 1, coin)) return false;
  }
  return BernoulliExpUpToOne(p, q, coin);
}

struct Magnitude {
  std::uint64_t value;
  bool negative;
};

/// Discrete Laplace of integer scale (algorithm 2): magnitude u + scale x v.
Magnitude DrawLaplace(std::uint64_t scale, SecretRng& rng, Coin& coin) {
  for (;;) {
    const std::uint64_t low = rng.Below(scale);
    if (!BernoulliExpUpToOne(low, scale, coin)) continue;
    Wide high = 0;
    while (BernoulliExpUpToOne(1, 1, coin)) ++high;
    const bool negative = coin.Flip();
    const Wide value = low + scale * high;
    if (negative && value == 0) continue;
    if (value > static_cast<Wide>(std::numeric_limits<std::int64_t>::max())) continue;
    return {static_cast<std::uint64_t>(value), negative};
  }
}

}  // namespace

Result<DiscreteGaussian> DiscreteGaussian::Create(std::uint64_t sigma) {
  if (sigma < 1 || sigma > kLargestSigma) {
    return Error(ErrorCode::kInvalidArgument, "discrete Gaussian: sigma must be 1 to " +
                                                  std::to_string(kLargestSigma) + ", got " +
                                                  std::to_string(sigma));
  }
  return DiscreteGaussian(sigma);
}

std::int64_t DiscreteGaussian::Draw(SecretRng& rng) const {
  Coin coin(rng);
  const Wide twice_variance = 2 * static_cast<Wide>(sigma_) * sigma_;
  for (;;) {
    // Algorithm 3 with t = sigma: accepted with probability exp(-(|y| - sigma)^2 / (2 sigma^2)).
    const Magnitude y = DrawLaplace(sigma_, rng, coin);
    const Wide distance = y.value > sigma_ ? y.value - sigma_ : sigma_ - y.value;
    if (!BernoulliExp(distance * distance, twice_variance, coin)) continue;
    const auto value = static_cast<std::int64_t>(y.value);
    return y.negative ? -value : value;
  }
}

}  // namespace fedmeta
