#include "fedmeta/privacy/private_sum.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "fedmeta/core/text.h"
#include "fedmeta/privacy/threshold.h"

namespace fedmeta {
namespace {

/// No draw of a run lies further out, but for a chance of 1e-32 a coordinate.
constexpr double kTail = 12;
/// Below this the sum of members' noise is not near enough to a discrete Gaussian.
constexpr double kLeastLocalSigma = 4;
/// Finer than 2^-30 of the noise buys nothing.
constexpr double kWidestSigma = 0x1p30;
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
  for (const std::uint32_t members : {options.minimum, options.cohort}) {
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

/// What one more factor of two in the scale does not change.
Status CheckColluders(const PrivateSum::Options& options) {
  if (!Distributed(options.terms)) return {};
  const std::uint32_t withstood = static_cast<std::uint32_t>(AssumedColluders(options.minimum));
  if (options.terms.assumed_colluders() > std::max(withstood, 1U)) {
    return Refused("assumed_colluders must be <= " + std::to_string(std::max(withstood, 1U)) +
                   ", what a session of " + std::to_string(options.minimum) +
                   " members withstands (min(t - 3, n - t), t = floor(2n/3) + 1), got " +
                   std::to_string(options.terms.assumed_colluders()) +
                   ": raise federation.minimum_cohort");
  }
  return {};
}

}  // namespace

std::uint32_t UncountedNoise(const v1::PrivacyTerms& terms, std::uint32_t members) {
  const std::uint32_t colluders =
      terms.assumed_colluders() > 0
          ? terms.assumed_colluders()
          : static_cast<std::uint32_t>(members >= kSmallestSession ? AssumedColluders(members) : 0);
  return std::min(std::max(colluders, 1U), members - 1);
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
  const double largest = std::exp2(static_cast<int>(options.bits) - 1);
  const double noise = terms.noise_multiplier();
  const double excess = Excess(options);
  const double first =
      std::exp2(std::floor(std::log2(std::min(largest, kWidestSigma) / terms.clip())));
  std::string narrow;
  for (double scale = first; scale * terms.clip() >= 1; scale /= 2) {
    RingCodec::Options codec_options = CodecOptions(options, scale);
    // First without the noise, which is a multiple of the sensitivity.
    Result<RingCodec> codec = RingCodec::Create(codec_options);
    if (!codec.ok()) continue;
    const double sigma = std::ceil(noise * codec->sensitivity());
    if (sigma > kWidestSigma) continue;
    // Decode wants it as a share of each contributor.
    codec_options.noise_tail = std::ceil(kTail * excess * sigma / options.minimum);
    codec = RingCodec::Create(codec_options);
    if (!codec.ok()) continue;
    PrivateSum sum(std::move(*codec), options, static_cast<std::uint64_t>(sigma));
    const std::uint64_t local = Distributed(terms) ? sum.LocalSigma(options.cohort) : 0;
    if (Distributed(terms) && static_cast<double>(local) < kLeastLocalSigma) break;
    return sum;
  }
  return Refused(
      "the noise does not fit the ring: cohort x (scale x clip + " + FormatNumber(kTail) +
      " standard deviations) must be < 2^" + std::to_string(static_cast<int>(options.bits) - 1) +
      (Distributed(terms)
           ? " with at least " + FormatNumber(kLeastLocalSigma) + " units of noise at each member"
           : std::string()) +
      ", for a cohort of " + std::to_string(options.cohort) + ", " +
      std::to_string(options.layout->size()) + " coordinates and noise_multiplier " +
      FormatNumber(noise) +
      ": take privacy.secure_aggregation.ring_bits 64, a smaller cohort, or " +
      (Distributed(terms) ? "another noise_multiplier" : "less noise"));
}

std::uint64_t PrivateSum::LocalSigma(std::uint32_t members) const {
  const double counted = members - UncountedNoise(options_.terms, members);
  return static_cast<std::uint64_t>(std::ceil(static_cast<double>(sigma_) / std::sqrt(counted)));
}

Result<RingVector> PrivateSum::Encode(Contribution contribution) const {
  if (options_.terms.metric_share() <= 0) {
    contribution.metrics.assign(contribution.metrics.size(), MetricSums());
  }
  return codec_.Encode(contribution);
}

namespace {

Status AddNoise(RingVector& vector, std::uint64_t sigma, SecretRng& rng) {
  FEDMETA_ASSIGN_OR_RETURN(const DiscreteGaussian noise, DiscreteGaussian::Create(sigma));
  for (std::size_t i = 0; i < vector.size(); ++i) vector.AddSigned(i, noise.Draw(rng));
  return {};
}

}  // namespace

Status PrivateSum::AddLocalNoise(RingVector& vector, std::uint32_t members, SecretRng& rng) const {
  if (members < options_.minimum || members > options_.cohort) {
    return Refused("noise for a session of " + std::to_string(options_.minimum) + " to " +
                   std::to_string(options_.cohort) + " members, got " + std::to_string(members));
  }
  return AddNoise(vector, LocalSigma(members), rng);
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
