#include "fedmeta/privacy/ring_codec.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <numeric>
#include <string>
#include <string_view>
#include <utility>

#include "fedmeta/core/text.h"
#include "fedmeta/privacy/fixed_point.h"
#include "fedmeta/privacy/word_loops.h"

namespace fedmeta {
namespace {

Error Refused(const std::string& why) {
  return {ErrorCode::kInvalidArgument, "ring codec: " + why};
}

/// Of the words beside the update.
RingBits TailBits(RingBits bits) { return IsNarrow(bits) ? RingBits::k32 : bits; }

double HalfRing(RingBits bits) { return std::exp2(static_cast<int>(bits) - 1); }

/// Largest magnitude that an integer of `bound` x `scale` may have after rounding.
double Units(double bound, double scale) { return std::nearbyint(bound * scale); }

/// Units that one contribution's coordinate may have so that the sum of the cohort fits.
double UnitsThatFit(const RingCodec::Options& options, RingBits bits) {
  // One less, so that the sum stays strictly below half of the ring.
  return std::floor((HalfRing(bits) - 1) / options.cohort - options.noise_tail);
}

double PowerOfTwoBelow(double value) { return std::exp2(std::floor(std::log2(value))); }

/// An inequality that does not hold, and the nearest settings with which it would.
Error TooSmall(const RingCodec::Options& options, double scale) {
  const double bound = options.coordinate_bound.value_or(options.clip);
  const double needed = options.cohort * (Units(bound, scale) + options.noise_tail);
  std::string text = "the sum does not fit the ring: cohort x (scale x clip + noise tail) = " +
                     std::to_string(options.cohort) + " x (" + FormatNumber(scale) + " x " +
                     FormatNumber(bound) + " + " + FormatNumber(options.noise_tail) +
                     ") = " + FormatNumber(needed) + " must be < 2^" +
                     std::to_string(static_cast<int>(options.bits) - 1) + " = " +
                     FormatNumber(HalfRing(options.bits));
  std::vector<std::string> ways;
  const double fits = UnitsThatFit(options, options.bits);
  if (fits >= 1) {
    ways.push_back("scale <= " + FormatNumber(fits / bound));
    ways.push_back("clip <= " + FormatNumber(fits / scale));
  }
  const double cohort =
      std::floor((HalfRing(options.bits) - 1) / (Units(bound, scale) + options.noise_tail));
  if (cohort >= 1) ways.push_back("cohort <= " + FormatNumber(cohort));
  int wider = static_cast<int>(options.bits) + 1;
  while (wider <= 32 && needed >= std::exp2(wider - 1)) ++wider;
  if (wider <= 32) {
    ways.push_back("a ring of " + std::to_string(wider) + " bits");
  } else if (options.bits != RingBits::k64 && needed < HalfRing(RingBits::k64)) {
    ways.push_back("a ring of 64 bits");
  }
  if (!ways.empty()) text += "; what fits: " + Join(ways, ", or ");
  return Refused(text);
}

/// In lanes, which need not wait for one another; the same everywhere.
double SquaredNorm(std::span<const float> values) {
  std::array<double, 8> lanes{};
  const auto add = [&](std::size_t at, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
      const double value = values[at + i];
      lanes[i] += value * value;
    }
  };
  const std::size_t whole = values.size() / lanes.size() * lanes.size();
  for (std::size_t at = 0; at < whole; at += lanes.size()) add(at, lanes.size());
  add(whole, values.size() - whole);
  return std::accumulate(lanes.begin(), lanes.end(), 0.0);
}

bool AllFinite(std::span<const double> values) {
  return std::all_of(values.begin(), values.end(), [](double v) { return std::isfinite(v); });
}

}  // namespace

MetricBounds BoundsOfMetrics(double examples, double loss) {
  MetricBounds bounds;
  for (const std::string_view name : MetricSums::kNames) {
    const bool per_client = name == "clients" || name == "auc_clients" || name.starts_with("mean_");
    const double each = name.ends_with("loss") ? loss : name.ends_with("brier") ? 2 : 1;
    bounds.largest.push_back(per_client ? each : examples * each);
    bounds.is_count.push_back(!per_client);
  }
  return bounds;
}

Result<RingCodec> RingCodec::Create(const Options& options) {
  if (options.cohort == 0) return Refused("cohort must be > 0, got 0");
  if (options.metric_cells == 0) return Refused("metric_cells must be > 0, got 0");
  if (options.metric_bounds.largest.size() != MetricSums::kSize ||
      options.metric_bounds.is_count.size() != MetricSums::kSize) {
    return Refused("metric_bounds must be of " + std::to_string(MetricSums::kSize) +
                   " fields, got " + std::to_string(options.metric_bounds.largest.size()));
  }
  const auto positive = [](double value) { return std::isfinite(value) && value > 0; };
  for (std::size_t i = 0; i < MetricSums::kSize; ++i) {
    if (!positive(options.metric_bounds.largest[i])) {
      return Refused("the bound of " + std::string(MetricSums::kNames[i]) + " must be > 0, got " +
                     FormatNumber(options.metric_bounds.largest[i]));
    }
  }
  if (!(std::isfinite(options.noise_tail) && options.noise_tail >= 0))
    return Refused("noise_tail must be >= 0, got " + FormatNumber(options.noise_tail));
  if (!positive(options.maximum_weight))
    return Refused("maximum_weight must be > 0, got " + FormatNumber(options.maximum_weight));
  if (options.metric_share && !positive(*options.metric_share))
    return Refused("metric_share must be > 0, got " + FormatNumber(*options.metric_share));

  RingCodec codec;
  codec.options_ = options;
  codec.update_size_ = options.layout == nullptr ? 0 : options.layout->size();
  if (codec.update_size_ > 0) {
    const double fits = UnitsThatFit(options, options.bits);
    if (!positive(options.clip))
      return Refused("clip must be > 0, got " + FormatNumber(options.clip));
    const double bound = options.coordinate_bound.value_or(options.clip);
    if (!(bound > 0 && bound <= options.clip)) {
      return Refused("coordinate_bound must be > 0 and <= clip, got " + FormatNumber(bound));
    }
    if (options.update_scale && !positive(*options.update_scale))
      return Refused("update_scale must be > 0, got " + FormatNumber(*options.update_scale));
    const double finest = IsNarrow(options.bits) ? fits / bound : PowerOfTwoBelow(fits / bound);
    const double scale = options.update_scale.value_or(fits >= 1 ? finest : 1 / bound);
    if (!(Units(bound, scale) <= fits)) return TooSmall(options, scale);
    codec.update_ = {.bound = bound, .scale = scale};
  }
  FEDMETA_RETURN_IF_ERROR(codec.ScaleTail(UnitsThatFit(options, TailBits(options.bits))));
  return codec;
}

Status RingCodec::ScaleTail(double fits) {
  const std::size_t tail = words() - update_size_;
  double units = fits;
  if (options_.metric_share && update_size_ > 0) {
    const double share = *options_.metric_share * options_.clip * update_.scale;
    units = std::min(units, std::floor(share / std::sqrt(static_cast<double>(tail))));
  }
  if (!(units >= 1)) {
    return Refused("a metric has no room: with a cohort of " + std::to_string(options_.cohort) +
                   " and a noise tail of " + FormatNumber(options_.noise_tail) +
                   " a coordinate may have " + FormatNumber(std::max(units, 0.0)) +
                   " units, at least 1 is needed: a wider ring, a smaller cohort or tail, or a "
                   "larger metric_share");
  }
  const auto part = [units](double bound) {
    return Part{.bound = bound, .scale = PowerOfTwoBelow(units / bound)};
  };
  if (options_.weighted) weight_ = part(options_.maximum_weight);
  failures_ = part(1);
  double squares = std::pow(options_.clip * update_.scale, 2);
  const auto add = [&squares](const Part& one, std::size_t times) {
    squares += static_cast<double>(times) * std::pow(Units(one.bound, one.scale), 2);
  };
  if (options_.weighted) add(weight_, 1);
  add(failures_, 1);
  for (const double bound : options_.metric_bounds.largest) {
    metrics_.push_back(part(bound));
    add(metrics_.back(), options_.metric_cells);
  }
  sensitivity_ = std::sqrt(squares) +
                 std::hypot(RoundingNorm(update_size_), std::sqrt(static_cast<double>(tail)) / 2);
  return {};
}

double RingCodec::RoundingNorm(std::size_t coordinates) const {
  return std::sqrt(static_cast<double>(coordinates)) * (IsNarrow(options_.bits) ? 1 : 0.5);
}

std::size_t RingCodec::words() const {
  return update_size_ + (options_.weighted ? 1 : 0) + 1 + options_.metric_cells * MetricSums::kSize;
}
double RingCodec::update_scale() const { return update_.scale; }
double RingCodec::sensitivity() const { return sensitivity_; }

RingVector RingCodec::Zero() const { return {options_.bits, words(), words() - update_size_}; }

void RingCodec::PutUpdate(std::span<const float> update, double factor, Rng* rounding,
                          RingVector& vector) const {
  if (IsNarrow(options_.bits)) {
    const double most = Units(update_.bound, update_.scale);
    vector.Visit([&]<typename Word>(std::span<Word> words) {
      for (std::size_t i = 0; i < update.size(); ++i) {
        const double value = std::clamp(factor * static_cast<double>(update[i]), -most, most);
        words[i] = static_cast<Word>(RoundToWord(RoundAtRandom(value, *rounding)));
      }
    });
    return;
  }
  vector.Visit([&]<typename Word>(std::span<Word> words) {
    CombineWords(update.data(), words.data(), update.size(), [factor](Word, float value) {
      return static_cast<Word>(RoundToWord(factor * static_cast<double>(value)));
    });
  });
}

/// The L2 norm over the update's integers is at most scale x clip + what rounding adds.
bool RingCodec::UpdateIsWithin(const RingVector& vector) const {
  unsigned __int128 squares = 0;
  vector.ForEachSigned(update_size_, [&squares](std::size_t, __int128 value) {
    squares += static_cast<unsigned __int128>(value * value);
  });
  const long double bound =
      static_cast<long double>(options_.clip) * static_cast<long double>(update_.scale) +
      static_cast<long double>(RoundingNorm(update_size_));
  return static_cast<long double>(squares) <= bound * bound;
}

void RingCodec::PutMetrics(const Contribution& contribution, RingVector& vector) const {
  std::size_t at = words() - options_.metric_cells * MetricSums::kSize;
  for (const MetricSums& cell : contribution.metrics) {
    const auto values = cell.ToArray();
    const bool finite = AllFinite(values);
    for (std::size_t i = 0; i < values.size(); ++i, ++at) {
      const bool told = finite && (options_.disclose_counts || !options_.metric_bounds.is_count[i]);
      const Part& part = metrics_[i];
      const double value = std::clamp(told ? values[i] : 0, -part.bound, part.bound);
      vector.AddSigned(at, std::bit_cast<std::int64_t>(RoundToWord(value * part.scale)));
    }
  }
}

Result<RingVector> RingCodec::Encode(const Contribution& contribution, Rng* rounding) const {
  if (IsNarrow(options_.bits) && update_size_ > 0 && rounding == nullptr)
    return Refused("a narrow ring needs a stream to round by");
  if (contribution.update.size() != update_size_ ||
      contribution.metrics.size() != options_.metric_cells) {
    return Refused("a contribution must have " + std::to_string(update_size_) +
                   " coordinates and " + std::to_string(options_.metric_cells) +
                   " metric cells, got " + std::to_string(contribution.update.size()) + " and " +
                   std::to_string(contribution.metrics.size()));
  }
  const double squares = SquaredNorm(contribution.update);
  double weight = 1;
  if (options_.weighted)
    weight = std::min(contribution.weight, options_.maximum_weight) / options_.maximum_weight;
  RingVector vector = Zero();
  const std::size_t failure_at = update_size_ + (options_.weighted ? 1 : 0);
  if (!std::isfinite(squares) || !(weight > 0)) {
    vector.AddSigned(failure_at, static_cast<std::int64_t>(failures_.scale));
    return vector;
  }
  if (options_.weighted) {
    // The weight that multiplies is the one that is summed.
    const double units = weight_.bound * weight_.scale;
    const double rounded = std::nearbyint(weight * units);
    weight = rounded / units;
    vector.AddSigned(update_size_, static_cast<std::int64_t>(rounded));
  }
  const double norm = std::sqrt(squares);
  double factor = update_.scale * (norm > options_.clip ? options_.clip / norm : 1) * weight;
  PutUpdate(contribution.update, factor, rounding, vector);
  while (!UpdateIsWithin(vector)) {
    factor *= 1 - 0x1p-40;  // what double rounding added to the norm
    PutUpdate(contribution.update, factor, rounding, vector);
  }
  PutMetrics(contribution, vector);
  return vector;
}

Status RingCodec::CheckSum(const RingVector& sum, std::uint32_t contributors) const {
  if (sum.bits() != options_.bits || sum.size() != words()) {
    return Refused("the sum must have " + std::to_string(words()) + " words of " +
                   std::to_string(static_cast<int>(options_.bits)) + " bits, got " +
                   std::to_string(sum.size()) + " of " +
                   std::to_string(static_cast<int>(sum.bits())));
  }
  if (contributors == 0 || contributors > options_.cohort) {
    return Refused("contributors must be 1 to " + std::to_string(options_.cohort) + ", got " +
                   std::to_string(contributors));
  }
  const auto largest = [&](const Part& part) {
    return contributors * (Units(part.bound, part.scale) + options_.noise_tail);
  };
  bool good = true;
  const double most = largest(update_);
  sum.ForEachSigned(update_size_, [&good, most](std::size_t, std::int64_t value) {
    good = std::fabs(static_cast<double>(value)) <= most && good;
  });
  std::size_t at = update_size_;
  const auto check = [&](const Part& part) {
    good = std::fabs(static_cast<double>(sum.Signed(at++))) <= largest(part) && good;
  };
  if (options_.weighted) check(weight_);
  check(failures_);
  for (std::size_t cell = 0; cell < options_.metric_cells; ++cell) {
    for (const Part& part : metrics_) check(part);
  }
  if (good) return {};
  return Refused("the sum has a coordinate that " + std::to_string(contributors) +
                 " clients cannot have given");
}

Result<RingCodec::Sum> RingCodec::Decode(const RingVector& sum, std::uint32_t contributors) const {
  FEDMETA_RETURN_IF_ERROR(CheckSum(sum, contributors));
  std::size_t at = update_size_;
  const auto value = [&](std::size_t index, const Part& part) {
    return static_cast<double>(sum.Signed(index)) / part.scale;
  };
  Sum decoded;
  decoded.sum.contributors = contributors;
  const double weights = options_.weighted ? value(at++, weight_) : 0;
  decoded.failures = value(at++, failures_);
  const double counted = options_.divide_by_cohort ? contributors : contributors - decoded.failures;
  decoded.sum.weight = options_.weighted ? weights : counted;
  if (!(decoded.sum.weight > 0))
    return Refused("nothing to average: the summed weight is " + FormatNumber(decoded.sum.weight));
  const double divisor =
      update_.scale * (options_.weighted ? weights / options_.maximum_weight : counted);
  decoded.sum.mean.resize(update_size_);
  sum.ForEachSigned(update_size_, [&](std::size_t i, std::int64_t units) {
    decoded.sum.mean[i] = static_cast<double>(units) / divisor;
  });
  for (std::size_t cell = 0; cell < options_.metric_cells; ++cell) {
    std::array<double, MetricSums::kSize> values{};
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = value(at++, metrics_[i]);
    decoded.sum.metrics.push_back(MetricSums::FromArray(values));
  }
  return decoded;
}

}  // namespace fedmeta
