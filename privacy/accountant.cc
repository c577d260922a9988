#include "fedmeta/privacy/accountant.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <string>
#include <utility>

#include "fedmeta/core/check.h"
#include "fedmeta/core/text.h"
#include "fedmeta/privacy/renyi.h"

namespace fedmeta {
namespace {

constexpr double kLargestNoise = 1e9;
constexpr double kSmallestNoise = 1e-3;
constexpr std::uint64_t kMostReleases = 1'000'000'000;
constexpr double kNoiseTolerance = 1e-7;  // relative

Error Refused(const std::string& what, double got) {
  return {ErrorCode::kInvalidArgument, "privacy: " + what + ", got " + FormatNumber(got)};
}

Status Check(Accountant accountant, double sampling_rate, double delta) {
  if (!(delta > 0 && delta < 1)) return Refused("delta must be above 0 and below 1", delta);
  if (!(sampling_rate > 0 && sampling_rate <= 1)) {
    return Refused("sampling_rate must be above 0 and at most 1", sampling_rate);
  }
  if (accountant != Accountant::kRenyi && sampling_rate < 1) {
    return Refused("accountant " + std::string(AccountantName(accountant)) +
                       " knows sampling_rate 1 only (rdp knows others)",
                   sampling_rate);
  }
  return {};
}
Status CheckNoise(double noise_multiplier) {
  if (noise_multiplier > 0 && std::isfinite(noise_multiplier)) return {};
  return Refused("noise_multiplier must be above 0", noise_multiplier);
}
Status CheckEpsilon(double epsilon) {
  if (epsilon > 0 && std::isfinite(epsilon)) return {};
  return Refused("epsilon must be above 0", epsilon);
}

/// To 6 significant digits.
double RoundUp(double value) {
  const double unit = std::pow(10, std::floor(std::log10(value)) - 5);
  // The quotient, not the product, is the double that is nearest to the decimal number.
  return unit < 1 ? std::ceil(value / unit) / std::round(1 / unit) : std::ceil(value / unit) * unit;
}

/// log of the standard normal distribution function.
double LogPhi(double x) {
  if (x > -30) return std::log(0.5 * std::erfc(-x / std::numbers::sqrt2));
  const double square = x * x;
  return -0.5 * square - std::log(-x) - 0.5 * std::log(2 * std::numbers::pi) +
         std::log1p(-1 / square + 3 / (square * square));
}

/// The delta of one release with noise multiplier 1 / mu.
double ExactDelta(double mu, double epsilon) {
  return std::exp(LogPhi(mu / 2 - epsilon / mu)) -
         std::exp(epsilon + LogPhi(-mu / 2 - epsilon / mu));
}

double ExactEpsilon(double mu, double delta) {
  if (ExactDelta(mu, 0) <= delta) return 0;
  double low = 0;
  double high = 1;
  while (ExactDelta(mu, high) > delta) {
    low = high;
    high *= 2;
  }
  for (int i = 0; i < 200 && high - low > 1e-12 * high; ++i) {
    const double middle = low + (high - low) / 2;
    (ExactDelta(mu, middle) > delta ? low : high) = middle;
  }
  return high;
}

/// The conversion of rho-concentrated privacy has one minimum over the order: found by golden
/// section over log(order - 1).
PrivacySpent ConcentratedEpsilon(double rho, double delta) {
  const auto order_at = [](double x) { return 1 + std::exp(x); };
  const auto at = [&](double x) {
    const double order = order_at(x);
    return rho * order + std::log1p(-1 / order) - std::log(delta * order) / (order - 1);
  };
  double low = std::log(1e-6);
  double high = std::log(1e12);
  const double golden = 1 / std::numbers::phi;
  for (int i = 0; i < 100; ++i) {
    const double left = high - golden * (high - low);
    const double right = low + golden * (high - low);
    if (at(left) < at(right)) {
      high = right;
    } else {
      low = left;
    }
  }
  const double x = low + (high - low) / 2;
  return {.epsilon = std::max(0.0, at(x)), .order = order_at(x)};
}

PrivacySpent RenyiEpsilon(const ReleaseTerms& terms, double releases, double delta) {
  PrivacySpent best{.epsilon = std::numeric_limits<double>::infinity(), .order = {}};
  for (const double order : RdpOrders()) {
    const double one = SampledGaussianRdp(order, terms.sampling_rate, terms.noise_multiplier);
    const double epsilon = EpsilonOfRdp(releases * one, order, delta);
    if (epsilon < best.epsilon) best = {.epsilon = epsilon, .order = order};
  }
  return best;
}

/// Arguments have been checked.
PrivacySpent Spent(Accountant accountant, const ReleaseTerms& terms, std::uint64_t releases,
                   double delta) {
  if (releases == 0) return {};
  const auto count = static_cast<double>(releases);
  switch (accountant) {
    case Accountant::kExactGaussian:
      return {.epsilon = ExactEpsilon(std::sqrt(count) / terms.noise_multiplier, delta),
              .order = {}};
    case Accountant::kZeroConcentrated:
      return ConcentratedEpsilon(count * GaussianRdp(1, terms.noise_multiplier), delta);
    case Accountant::kRenyi:
      return RenyiEpsilon(terms, count, delta);
  }
  FEDMETA_CHECK(false);
}

}  // namespace

std::string_view AccountantName(Accountant accountant) {
  switch (accountant) {
    case Accountant::kExactGaussian:
      return "exact";
    case Accountant::kZeroConcentrated:
      return "zcdp";
    case Accountant::kRenyi:
      return "rdp";
  }
  FEDMETA_CHECK(false);
}

Accountant RingAccountant(double sampling_rate) {
  return sampling_rate < 1 ? Accountant::kRenyi : Accountant::kZeroConcentrated;
}

Result<PrivacySpent> SpentBy(Accountant accountant, const ReleaseTerms& terms,
                             std::uint64_t releases, double delta) {
  FEDMETA_RETURN_IF_ERROR(CheckNoise(terms.noise_multiplier));
  FEDMETA_RETURN_IF_ERROR(Check(accountant, terms.sampling_rate, delta));
  return Spent(accountant, terms, releases, delta);
}

Result<double> NoiseFor(Accountant accountant, double sampling_rate, std::uint64_t releases,
                        double epsilon, double delta) {
  FEDMETA_RETURN_IF_ERROR(CheckEpsilon(epsilon));
  FEDMETA_RETURN_IF_ERROR(Check(accountant, sampling_rate, delta));
  const auto fits = [&](double noise) {
    return Spent(accountant, {.noise_multiplier = noise, .sampling_rate = sampling_rate}, releases,
                 delta)
               .epsilon <= epsilon;
  };
  if (!fits(kLargestNoise)) {
    return Refused("no noise_multiplier below " + FormatNumber(kLargestNoise) + " gives epsilon " +
                       FormatNumber(epsilon) + " at delta " + FormatNumber(delta) + " for " +
                       std::to_string(releases) + " releases with accountant " +
                       std::string(AccountantName(accountant)) + ": raise epsilon or delta",
                   epsilon);
  }
  double low = kSmallestNoise;
  double high = kLargestNoise;
  while (high > low * (1 + kNoiseTolerance)) {
    const double middle = std::sqrt(low * high);
    (fits(middle) ? high : low) = middle;
  }
  return RoundUp(high);
}

Result<std::uint64_t> ReleasesWithin(Accountant accountant, const ReleaseTerms& terms,
                                     double epsilon, double delta) {
  FEDMETA_RETURN_IF_ERROR(CheckEpsilon(epsilon));
  FEDMETA_RETURN_IF_ERROR(CheckNoise(terms.noise_multiplier));
  FEDMETA_RETURN_IF_ERROR(Check(accountant, terms.sampling_rate, delta));
  std::uint64_t within = 0;
  std::uint64_t beyond = kMostReleases + 1;
  while (beyond - within > 1) {
    const std::uint64_t middle = within + (beyond - within) / 2;
    (Spent(accountant, terms, middle, delta).epsilon <= epsilon ? within : beyond) = middle;
  }
  return within;
}

}  // namespace fedmeta
