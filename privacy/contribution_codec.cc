#include "fedmeta/privacy/contribution_codec.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>

#include "fedmeta/core/text.h"
#include "fedmeta/privacy/fixed_point.h"
#include "fedmeta/privacy/packed_words.h"
#include "fedmeta/protocol/limits.h"

namespace fedmeta {
namespace {

constexpr double kUpdateScale = 1 / ContributionCodec::kUpdateUnit;
constexpr double kTailScale = 1 / ContributionCodec::kTailUnit;

double FromWord(std::uint64_t word) {
  return static_cast<double>(std::bit_cast<std::int64_t>(word));
}

float LoadFloat(const std::byte* at) {
  float value;
  std::memcpy(&value, at, sizeof(value));
  return value;
}

double RoundedWeight(double weight) {
  return FromWord(RoundToWord(weight * kTailScale)) / kTailScale;
}

std::vector<double> TailOf(const Contribution& contribution) {
  std::vector<double> tail = {contribution.weight};
  for (const MetricSums& cell : contribution.metrics) {
    const auto values = cell.ToArray();
    tail.insert(tail.end(), values.begin(), values.end());
  }
  return tail;
}

std::vector<double> TailOf(std::span<const std::byte> payload, std::size_t size) {
  std::vector<double> tail(size);
  std::memcpy(tail.data(), payload.data() + payload.size() - size * sizeof(double),
              size * sizeof(double));
  return tail;
}

std::vector<MetricSums> MetricsOf(std::span<const double> tail) {
  std::vector<MetricSums> metrics;
  for (std::size_t at = 1; at < tail.size(); at += MetricSums::kSize) {
    metrics.push_back(MetricSums::FromArray(tail.subspan(at).first<MetricSums::kSize>()));
  }
  return metrics;
}

Error Refused(const std::string& what) {
  return {ErrorCode::kInvalidArgument, "contribution: " + what};
}

Error WrongSize(const std::string& what, std::size_t expected, std::size_t got) {
  return Refused(what + " must be " + std::to_string(expected) + ", got " + std::to_string(got));
}

}  // namespace

std::size_t PlainUpdateBytes(std::size_t coordinates, std::uint32_t bits) {
  if (bits == 32 || coordinates == 0) return coordinates * sizeof(float);
  return sizeof(float) + PackedBytes(coordinates, bits);
}

Result<ContributionCodec> ContributionCodec::Create(const Options& options) {
  const auto refused = [](const std::string& what) {
    return Error(ErrorCode::kInvalidArgument, "contribution codec: " + what);
  };
  if (options.metric_cells == 0 || options.metric_cells > kMaximumEvaluationCells) {
    return refused("metric_cells must be 1 to " + std::to_string(kMaximumEvaluationCells) +
                   ", got " + std::to_string(options.metric_cells));
  }
  if (options.maximum_contributors == 0) return refused("maximum_contributors must be > 0, got 0");
  if (options.bits < 2 || options.bits > 32)
    return refused("bits must be 2 to 32, got " + std::to_string(options.bits));
  ContributionCodec codec;
  codec.bits_ = options.bits;
  codec.layout_ = options.layout;
  codec.update_size_ = options.layout == nullptr ? 0 : options.layout->size();
  codec.metric_cells_ = options.metric_cells;
  codec.maximum_weight_ = options.maximum_weight;
  codec.maximum_contributors_ = options.maximum_contributors;
  // Rounded down: the nearest double of a large integer may lie above it.
  const std::int64_t largest =
      std::numeric_limits<std::int64_t>::max() / options.maximum_contributors;
  codec.largest_word_ = std::nextafter(static_cast<double>(largest), 0.0);
  codec.largest_word_ = std::floor(codec.largest_word_);
  const double largest_weight = codec.largest_word_ / kTailScale;
  if (!(options.maximum_weight >= 1 / kTailScale && options.maximum_weight <= largest_weight)) {
    return refused("maximum_weight must be " + FormatNumber(1 / kTailScale) + " to " +
                   FormatNumber(largest_weight) + " for " +
                   std::to_string(options.maximum_contributors) + " contributors, got " +
                   FormatNumber(options.maximum_weight));
  }
  return codec;
}

std::size_t ContributionCodec::tail_size() const { return 1 + metric_cells_ * MetricSums::kSize; }
std::size_t ContributionCodec::update_bytes() const {
  return PlainUpdateBytes(update_size_, bits_);
}
std::size_t ContributionCodec::wire_size() const {
  return update_bytes() + tail_size() * sizeof(double);
}
std::size_t ContributionCodec::encoded_size() const { return update_size_ + tail_size(); }

Status ContributionCodec::CheckShape(const Contribution& contribution) const {
  if (contribution.update.size() != update_size_) {
    return WrongSize("coordinates of the update", update_size_, contribution.update.size());
  }
  if (contribution.metrics.size() != metric_cells_) {
    return WrongSize("metric cells", metric_cells_, contribution.metrics.size());
  }
  return {};
}

Status ContributionCodec::CheckTail(std::span<const double> tail) const {
  if (!(tail[0] > 0 && tail[0] <= maximum_weight_ && RoundedWeight(tail[0]) > 0)) {
    return Refused("weight must be " + FormatNumber(1 / kTailScale) + " to " +
                   FormatNumber(maximum_weight_) + ", got " + FormatNumber(tail[0]));
  }
  const double largest = largest_word_ / kTailScale;
  for (std::size_t i = 1; i < tail.size(); ++i) {
    const std::size_t field = (i - 1) % MetricSums::kSize;
    const auto refused = [&](const std::string& bound) {
      return Refused(std::string(MetricSums::kNames[field]) + " of metric cell " +
                     std::to_string((i - 1) / MetricSums::kSize) + " must be " + bound);
    };
    // The value itself stays out of the text: a loss is a client's own figure.
    if (!(std::fabs(tail[i]) <= largest))
      return refused("finite and at most " + FormatNumber(largest));
    const bool is_loss = field == 1 || field == 4;
    if (!is_loss && tail[i] < 0) return refused(">= 0");
    const bool counts_clients =
        MetricSums::kNames[field] == "clients" || MetricSums::kNames[field] == "auc_clients";
    if (counts_clients && tail[i] > 1) return refused("0 or 1");
  }
  return {};
}

Status ContributionCodec::CheckUpdate(std::span<const std::byte> update, double weight) const {
  const double factor = RoundedWeight(weight) * kUpdateScale;
  const double largest = largest_word_;
  std::uint64_t bad = 0;
  for (std::size_t i = 0; i < update_size_; ++i) {
    bad |= static_cast<std::uint64_t>(
        !(std::fabs(factor * LoadFloat(update.data() + i * sizeof(float))) <= largest));
  }
  if (bad != 0) return BadEntry(update, weight);
  return {};
}

Error ContributionCodec::BadEntry(std::span<const std::byte> update, double weight) const {
  const double factor = RoundedWeight(weight) * kUpdateScale;
  std::size_t at = 0;
  while (std::fabs(factor * LoadFloat(update.data() + at * sizeof(float))) <= largest_word_) ++at;
  const std::string tensor = layout_->CoordinateName(at);
  if (!std::isfinite(LoadFloat(update.data() + at * sizeof(float)))) {
    return Refused("update of " + tensor + " is not finite");
  }
  return Refused("weight x update of " + tensor + " must be at most " +
                 FormatNumber(largest_word_ / kUpdateScale) + " in absolute value for " +
                 std::to_string(maximum_contributors_) + " contributors");
}

Bytes ContributionCodec::PackUpdate(std::span<const float> update, Rng& rounding) const {
  float largest = 0;
  for (const float value : update) largest = std::max(largest, std::fabs(value));
  const auto levels = static_cast<double>((std::int64_t{1} << (bits_ - 1)) - 1);
  // Rounded up, so that the largest magnitude has not too many steps.
  const float step =
      std::nextafter(static_cast<float>(largest / levels), std::numeric_limits<float>::infinity());
  std::vector<std::uint32_t> words(update.size());
  for (std::size_t i = 0; i < update.size(); ++i) {
    const double steps = static_cast<double>(update[i]) / static_cast<double>(step);
    words[i] = static_cast<std::uint32_t>(RoundToWord(RoundAtRandom(steps, rounding)));
  }
  Bytes packed(update_bytes());
  std::memcpy(packed.data(), &step, sizeof(step));
  PackWords(words, bits_, std::span(packed).subspan(sizeof(step)));
  return packed;
}

Result<std::vector<float>> ContributionCodec::UnpackUpdate(
    std::span<const std::byte> packed) const {
  const float step = LoadFloat(packed.data());
  const auto integers = packed.subspan(sizeof(step));
  if (!(std::isfinite(step) && step >= 0)) return Refused("its step must be finite and >= 0");
  if (!HasCleanEnd(integers, update_size_, bits_))
    return Refused("the bits after the last of its packed integers must be zero");
  std::vector<std::uint32_t> words(update_size_);
  UnpackWords(integers, bits_, words);
  std::vector<float> update(update_size_);
  const std::int32_t least = SignExtended(std::uint32_t{1} << (bits_ - 1), bits_);
  bool in_range = true;
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::int32_t steps = SignExtended(words[i], bits_);
    in_range = in_range && steps != least;
    update[i] = static_cast<float>(steps * static_cast<double>(step));
  }
  if (!in_range) {
    return Refused("a packed integer must be at most " +
                   std::to_string(-(std::int64_t{least} + 1)) + " in absolute value");
  }
  return update;
}

Result<Bytes> ContributionCodec::ToWire(const Contribution& contribution, Rng* rounding) const {
  FEDMETA_RETURN_IF_ERROR(CheckShape(contribution));
  if (bits_ < 32 && update_size_ > 0 && rounding == nullptr)
    return Refused("few bits need a stream to round by");
  const std::vector<double> tail = TailOf(contribution);
  const auto update = AsBytes(std::span<const float>(contribution.update));
  FEDMETA_RETURN_IF_ERROR(CheckTail(tail));
  FEDMETA_RETURN_IF_ERROR(CheckUpdate(update, contribution.weight));
  Bytes payload;
  payload.reserve(wire_size());
  if (bits_ < 32 && update_size_ > 0) {
    payload = PackUpdate(contribution.update, *rounding);
  } else {
    payload.insert(payload.end(), update.begin(), update.end());
  }
  const auto tail_bytes = AsBytes(std::span<const double>(tail));
  payload.insert(payload.end(), tail_bytes.begin(), tail_bytes.end());
  return payload;
}

Result<Contribution> ContributionCodec::FromWire(std::span<const std::byte> payload) const {
  if (payload.size() != wire_size())
    return WrongSize("bytes of the payload", wire_size(), payload.size());
  const std::vector<double> tail = TailOf(payload, tail_size());
  const auto update = payload.first(update_bytes());
  FEDMETA_RETURN_IF_ERROR(CheckTail(tail));
  Contribution contribution;
  if (bits_ < 32 && update_size_ > 0) {
    FEDMETA_ASSIGN_OR_RETURN(contribution.update, UnpackUpdate(update));
  } else {
    contribution.update.resize(update_size_);
    if (!update.empty()) std::memcpy(contribution.update.data(), update.data(), update.size());
  }
  FEDMETA_RETURN_IF_ERROR(
      CheckUpdate(AsBytes(std::span<const float>(contribution.update)), tail[0]));
  contribution.weight = tail[0];
  contribution.metrics = MetricsOf(tail);
  return contribution;
}

Status ContributionCodec::EncodeParts(std::span<const std::byte> update,
                                      std::span<const double> tail,
                                      std::span<std::uint64_t> encoded) const {
  FEDMETA_RETURN_IF_ERROR(CheckTail(tail));
  // A power of two scales exactly, so factor x update is weight x update in units of the sum.
  const double factor = RoundedWeight(tail[0]) * kUpdateScale;
  const double largest = largest_word_;
  const std::byte* const from = update.data();
  std::uint64_t* const to = encoded.data();
  std::uint64_t bad = 0;  // instead of a branch: the loop vectorises
  for (std::size_t i = 0; i < update_size_; ++i) {
    const double value = factor * LoadFloat(from + i * sizeof(float));
    bad |= static_cast<std::uint64_t>(!(std::fabs(value) <= largest));
    to[i] = RoundToWord(value);
  }
  if (bad != 0) return BadEntry(update, tail[0]);
  for (std::size_t i = 0; i < tail.size(); ++i)
    encoded[update_size_ + i] = RoundToWord(tail[i] * kTailScale);
  return {};
}

Result<std::vector<std::uint64_t>> ContributionCodec::Encode(
    const Contribution& contribution) const {
  FEDMETA_RETURN_IF_ERROR(CheckShape(contribution));
  std::vector<std::uint64_t> encoded(encoded_size());
  FEDMETA_RETURN_IF_ERROR(EncodeParts(AsBytes(std::span<const float>(contribution.update)),
                                      TailOf(contribution), encoded));
  return encoded;
}

Status ContributionCodec::EncodeWire(std::span<const std::byte> payload,
                                     std::vector<std::uint64_t>& encoded) const {
  if (payload.size() != wire_size())
    return WrongSize("bytes of the payload", wire_size(), payload.size());
  encoded.resize(encoded_size());
  const std::vector<double> tail = TailOf(payload, tail_size());
  const auto update = payload.first(update_bytes());
  if (bits_ == 32 || update_size_ == 0) return EncodeParts(update, tail, encoded);
  FEDMETA_ASSIGN_OR_RETURN(const std::vector<float> unpacked, UnpackUpdate(update));
  return EncodeParts(AsBytes(std::span<const float>(unpacked)), tail, encoded);
}

Result<DecodedSum> ContributionCodec::Decode(std::span<const std::uint64_t> sum,
                                             std::uint32_t contributors) const {
  if (sum.size() != encoded_size())
    return WrongSize("words of the sum", encoded_size(), sum.size());
  if (contributors == 0 || contributors > maximum_contributors_) {
    return Refused("contributors must be 1 to " + std::to_string(maximum_contributors_) + ", got " +
                   std::to_string(contributors));
  }
  std::vector<double> tail(tail_size());
  for (std::size_t i = 0; i < tail.size(); ++i)
    tail[i] = FromWord(sum[update_size_ + i]) / kTailScale;
  DecodedSum decoded;
  decoded.contributors = contributors;
  decoded.weight = tail[0];
  decoded.metrics = MetricsOf(tail);
  if (!(decoded.weight > 0))
    return Refused("summed weight must be > 0, got " + FormatNumber(decoded.weight));
  decoded.mean.resize(update_size_);
  for (std::size_t i = 0; i < update_size_; ++i)
    decoded.mean[i] = FromWord(sum[i]) / kUpdateScale / decoded.weight;
  return decoded;
}

}  // namespace fedmeta
