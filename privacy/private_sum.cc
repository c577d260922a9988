#include "fedmeta/privacy/private_sum.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "fedmeta/core/text.h"
#include "fedmeta/privacy/discrete_gaussian.h"
#include "fedmeta/privacy/threshold.h"

namespace fedmeta {
namespace {

/// No draw of a run lies further out, but for a chance of 1e-32 a coordinate.
constexpr double kTail = 12;
/// Below this the sum of members' noise is not near enough to a discrete Gaussian.
constexpr double kLeastLocalSigma = 4;
/// Units of the clip: finer ones buy nothing.
constexpr double kMostUnits = 0x1p30;
/// What can be drawn.
constexpr auto kWidestSigma = static_cast<double>(DiscreteGaussian::kLargestSigma);
/// Where metrics are not sent, their coordinates still want a unit.
constexpr double kLeastShare = 0x1p-10;

/// Standard deviation of a metric's mean, as a share of its range.
constexpr double kWidestMetricNoise = 0.1;

bool Distributed(const v1::PrivacyTerms& terms) { return terms.mode() == "distributed"; }

Error Refused(const std::string& what) {
  return {ErrorCode::kInvalidArgument, "privacy.differential_privacy: " + what};
}

/// Noise of the whole sum over what the account counts on, at worst.
double Excess(const PrivateSum::Options& options) {
  if (!Distributed(options.terms)) return 1;
  double worst = 1;
  for (std::uint32_t members = options.minimum; members <= options.cohort; ++members) {
    const double counted = members - UncountedNoise(options.terms, members);
    worst = std::max(worst, std::sqrt(members / counted));
  }
  return worst;
}

RingCodec::Options CodecOptions(const PrivateSum::Options& options, double scale) {
  const double share = std::max(options.terms.metric_share(), kLeastShare);
  return {.layout = options.layout,
          .metric_cells = options.metric_cells,
          .bits = options.bits,
          .cohort = options.cohort,
          // Update and metrics together have the norm of the clip.
          .clip = options.terms.clip() / std::sqrt(1 + share * share),
          .update_scale = scale,
          .metric_bounds = BoundsOfMetrics(1, options.metric_bound),
          .metric_share = share,
          .divide_by_cohort = true};
}

Status CheckColluders(const PrivateSum::Options& options) {
  if (!Distributed(options.terms)) return {};
  const std::uint32_t assumed = options.terms.assumed_colluders();
  const auto withstood = [](std::size_t members) {
    return std::max<std::size_t>(AssumedColluders(members), 1);
  };
  const std::size_t most = withstood(options.minimum);
  if (assumed <= most) return {};
  std::size_t enough = options.minimum;
  while (enough <= kLargestSession && withstood(enough) < assumed) ++enough;
  return Refused(
      "assumed_colluders must be <= " + std::to_string(most) +
      ", what a session of privacy.secure_aggregation.minimum " + std::to_string(options.minimum) +
      " members withstands (min(t - 3, n - t) with t = floor(2n/3) + 1, at least 1), "
      "got " +
      std::to_string(assumed) + ": nearest are assumed_colluders " + std::to_string(most) +
      (enough <= kLargestSession ? " and minimum " + std::to_string(enough) : ""));
}

/// What a ring and its noise come to, at the finest scale for which the sum fits.
struct Fit {
  std::optional<RingCodec> codec;         ///< none: the sum does not fit at any scale
  double sigma = 0, tail = 0;             ///< of the last scale tried; tail: of one member
  double units = 0;                       ///< scale x clip
  double local_sigma = kLeastLocalSigma;  ///< of one member at most, mode distributed

  bool works() const { return codec && local_sigma >= kLeastLocalSigma; }
};

Fit FinestFit(const PrivateSum::Options& options) {
  const v1::PrivacyTerms& terms = options.terms;
  const double largest = std::exp2(static_cast<int>(options.bits) - 1);
  const double excess = Excess(options);
  Fit fit;
  double scale = std::exp2(std::floor(std::log2(std::min(largest, kMostUnits) / terms.clip())));
  for (; scale * terms.clip() >= 1; scale /= 2) {
    RingCodec::Options codec_options = CodecOptions(options, scale);
    // First without the noise, which is a multiple of the sensitivity.
    Result<RingCodec> codec = RingCodec::Create(codec_options);
    if (!codec.ok()) continue;
    fit.units = scale * terms.clip();
    fit.sigma = std::ceil(terms.noise_multiplier() * codec->sensitivity());
    // Decode wants it as a share of each contributor.
    fit.tail = codec_options.noise_tail = std::ceil(kTail * excess * fit.sigma / options.minimum);
    if (fit.sigma > kWidestSigma) continue;
    codec = RingCodec::Create(codec_options);
    if (!codec.ok()) continue;
    fit.codec = std::move(*codec);
    if (Distributed(terms)) {
      // The more members, the less noise of each.
      const double counted = options.cohort - UncountedNoise(terms, options.cohort);
      fit.local_sigma = std::ceil(fit.sigma / std::sqrt(counted));
    }
    break;
  }
  return fit;
}

/// Of the powers of ten and their halves and fifths, as people write settings: the next one up or
/// down from `value` with which it works; nothing within a factor of 1e18.
std::optional<double> NearestNoise(PrivateSum::Options options, bool more) {
  constexpr std::array<double, 3> kSteps = {1, 2, 5};
  const double noise = options.terms.noise_multiplier();
  const double decade = std::pow(10, std::floor(std::log10(noise)));
  for (int power = 0; power <= 18; ++power) {
    for (std::size_t i = 0; i < kSteps.size(); ++i) {
      const double step = kSteps[more ? i : kSteps.size() - 1 - i];
      const double candidate = step * decade * std::pow(10, more ? power : -power);
      if (more ? candidate <= noise : candidate >= noise) continue;
      options.terms.set_noise_multiplier(candidate);
      if (FinestFit(options).works()) return candidate;
    }
  }
  return std::nullopt;
}

/// Single settings that would do.
std::string Nearest(const PrivateSum::Options& options, bool more_noise) {
  std::vector<std::string> ways;
  if (const auto noise = NearestNoise(options, more_noise)) {
    ways.push_back("noise_multiplier " + FormatNumber(*noise));
  }
  PrivateSum::Options other = options;
  other.bits = RingBits::k64;
  if (options.bits != RingBits::k64 && FinestFit(other).works()) {
    ways.emplace_back("privacy.secure_aggregation.ring_bits 64");
  }
  for (other = options; other.cohort > other.minimum;) {
    --other.cohort;
    if (!FinestFit(other).works()) continue;
    ways.push_back("sums of at most " + std::to_string(other.cohort) + " members");
    break;
  }
  return ways.empty() ? "; no single setting helps" : "; what works: " + Join(ways, ", or ");
}

Error DoesNotFit(const PrivateSum::Options& options, const Fit& fit) {
  const std::string bits = std::to_string(static_cast<int>(options.bits) - 1);
  const std::string cohort = std::to_string(options.cohort);
  if (!fit.codec) {
    return Refused(
        "the noise does not fit the ring: cohort x (scale x clip + noise tail) = " + cohort +
        " x (" + FormatNumber(fit.units) + " + " + FormatNumber(fit.tail) + ") must be < 2^" +
        bits + ", the tail being " + FormatNumber(kTail) +
        " standard deviations of noise_multiplier " +
        FormatNumber(options.terms.noise_multiplier()) + " over the fewest members of a sum, " +
        std::to_string(options.minimum) + Nearest(options, false));
  }
  return Refused(
      "the noise is too small for the ring: each member's must have a standard "
      "deviation of at least " +
      FormatNumber(kLeastLocalSigma) + " units, got " + FormatNumber(fit.local_sigma) +
      " with noise_multiplier " + FormatNumber(options.terms.noise_multiplier()) + " shared by " +
      cohort +
      " at the finest scale with which cohort x (scale x clip "
      "+ noise tail) < 2^" +
      bits + Nearest(options, true));
}

}  // namespace

bool HidesClients(const v1::PrivacyTerms& terms) {
  return terms.mode() == "central" || Distributed(terms);
}

Result<PrivateSum> PrivateSum::Create(const Options& options) {
  const v1::PrivacyTerms& terms = options.terms;
  if (!(terms.clip() > 0) || !(terms.noise_multiplier() > 0)) {
    return Refused("clip and noise_multiplier must be > 0, got " + FormatNumber(terms.clip()) +
                   " and " + FormatNumber(terms.noise_multiplier()));
  }
  if (options.minimum < (Distributed(terms) ? 2U : 1U) || options.cohort < options.minimum) {
    return Refused("a sum of " + std::to_string(options.minimum) + " to " +
                   std::to_string(options.cohort) + " members cannot be made");
  }
  FEDMETA_RETURN_IF_ERROR(CheckColluders(options));
  Fit fit = FinestFit(options);
  if (!fit.works()) return DoesNotFit(options, fit);
  return PrivateSum(*std::move(fit.codec), options, static_cast<std::uint64_t>(fit.sigma));
}

LocalNoise PrivateSum::local_noise() const {
  return LocalNoise({.terms = options_.terms,
                     .sigma = sigma_,
                     .minimum = options_.minimum,
                     .cohort = options_.cohort});
}

Result<RingVector> PrivateSum::Encode(Contribution contribution) const {
  if (options_.terms.metric_share() <= 0) {
    contribution.metrics.assign(contribution.metrics.size(), MetricSums());
  }
  return codec_.Encode(contribution);
}

Status PrivateSum::AddCentralNoise(RingVector& sum, SecretRng& rng) const {
  return AddNoise(sum, sigma_, rng);
}

bool PrivateSum::TellsMetrics(std::uint32_t members) const {
  if (options_.terms.metric_share() <= 0) return false;
  const double tail = static_cast<double>(codec_.words() - options_.layout->size());
  // Of a figure at its bound, over all members; the codec takes the power of two below it.
  const double units = options_.terms.metric_share() * options_.terms.clip() *
                       codec_.update_scale() / std::sqrt(tail);
  return static_cast<double>(sigma_) < kWidestMetricNoise * units * members;
}

Result<DecodedSum> PrivateSum::Decode(const RingVector& sum, std::uint32_t members) const {
  FEDMETA_ASSIGN_OR_RETURN(RingCodec::Sum decoded, codec_.Decode(sum, members));
  for (MetricSums& cell : decoded.sum.metrics) {
    const double loss = std::max(0.0, cell.mean_loss);
    const double correct = std::clamp(cell.mean_correct, 0.0, static_cast<double>(members));
    cell = {};
    if (!TellsMetrics(members)) continue;
    // Counts are not sent: each member counts once.
    cell.examples = cell.clients = members;
    cell.query_loss = cell.mean_loss = loss;
    cell.correct = cell.mean_correct = correct;
  }
  return std::move(decoded.sum);
}

}  // namespace fedmeta
