#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "fedmeta/core/bytes.h"
#include "fedmeta/core/metric_sums.h"
#include "fedmeta/core/result.h"
#include "fedmeta/core/rng.h"
#include "fedmeta/core/state_layout.h"

namespace fedmeta {

/// What one client has to say about one round.
struct Contribution {
  std::vector<float> update;        ///< layout size for training, empty for evaluation
  double weight = 0;                ///< training: > 0; evaluation: 1
  std::vector<MetricSums> metrics;  ///< one a metric cell
};

/// The mean of a round.
struct DecodedSum {
  std::vector<double> mean;         ///< weighted mean of the updates; empty for evaluation
  double weight = 0;                ///< summed
  std::vector<MetricSums> metrics;  ///< summed over clients
  std::uint32_t contributors = 0;
};

/// Bytes of an update on the wire, `bits` as ContributionCodec::Options::bits.
std::size_t PlainUpdateBytes(std::size_t coordinates, std::uint32_t bits);

/// The only owner of "clip, append weight, append metric sums, encode, decode, divide". Used in
/// plain mode too, so that secure aggregation is not a second path. Immutable, thread-safe; borrows
/// the layout.
///
/// On the wire (plain): update as float32, then weight and metric sums as float64, little-endian.
/// With `bits` below 32 the update is one float32, the step, and a packed integer of that many bits
/// for each coordinate (privacy/packed_words.h): value = step x integer, at most 2^(bits - 1) - 1
/// steps from zero, the step so that the largest magnitude is that many; rounded up or down at
/// random, right on average (QSGD: Alistarh et al. 2017).
/// In the sum: 64-bit two's-complement fixed point, 2^-38 of a unit for weight x update entries,
/// 2^-20 of a unit for weights and metric sums (they are large), rounded to nearest, ties to even.
/// The weight that multiplies an update is the rounded one, so that the mean is that of the weights
/// that were summed. So order, threads, ranks and the live federation give the same bits.
///
/// Refused (kInvalidArgument, naming tensor or metric): values that are not finite, values so large
/// that `maximum_contributors` of them could overflow 63 bits, a weight outside [2^-20,
/// maximum_weight] after rounding, negative counts, more than one client in a contribution, wrong
/// sizes, packed integers out of range.
class ContributionCodec {
 public:
  struct Options {
    const StateLayout* layout = nullptr;  ///< null for evaluation: no update
    std::size_t metric_cells = 1;
    double maximum_weight = 1;
    std::uint32_t maximum_contributors =
        1;                    ///< bounds the sum: entries that could overflow it are refused
    std::uint32_t bits = 32;  ///< of each coordinate on the wire, 2 to 32; 32: float32
  };
  static Result<ContributionCodec> Create(const Options& options);

  /// What a word of 1 in the sum stands for.
  static constexpr double kUpdateUnit = 0x1p-38;  ///< of weight x update
  static constexpr double kTailUnit = 0x1p-20;    ///< of weights and metric sums

  std::size_t update_size() const { return update_size_; }
  std::size_t wire_size() const;     ///< bytes of a payload
  std::size_t encoded_size() const;  ///< words of an encoded contribution: update, weight, metrics

  /// Client. `rounding`: with `bits` below 32, else unused.
  Result<Bytes> ToWire(const Contribution& contribution, Rng* rounding = nullptr) const;
  /// Coordinator: hostile input. The same checks as ToWire.
  Result<Contribution> FromWire(std::span<const std::byte> payload) const;
  Result<std::vector<std::uint64_t>> Encode(const Contribution& contribution) const;
  /// FromWire and Encode in one pass over the payload, without copies of the update. `encoded` is
  /// resized; give the same vector again to save its allocation. After an error its content is
  /// unspecified.
  Status EncodeWire(std::span<const std::byte> payload, std::vector<std::uint64_t>& encoded) const;
  /// `sum`: words of `contributors` encoded contributions, added modulo 2^64.
  Result<DecodedSum> Decode(std::span<const std::uint64_t> sum, std::uint32_t contributors) const;

 private:
  ContributionCodec() = default;
  std::size_t tail_size() const;     // float64 values after the update: weight, metrics
  std::size_t update_bytes() const;  // of the payload
  Bytes PackUpdate(std::span<const float> update, Rng& rounding) const;
  Result<std::vector<float>> UnpackUpdate(std::span<const std::byte> packed) const;
  Status CheckShape(const Contribution& contribution) const;
  Status CheckTail(std::span<const double> tail) const;
  Status CheckUpdate(std::span<const std::byte> update, double weight) const;
  Status EncodeParts(std::span<const std::byte> update, std::span<const double> tail,
                     std::span<std::uint64_t> encoded) const;
  Error BadEntry(std::span<const std::byte> update, double weight) const;

  const StateLayout* layout_ = nullptr;
  std::size_t update_size_ = 0;
  std::size_t metric_cells_ = 1;
  double maximum_weight_ = 1;
  double largest_word_ = 0;  // of one contribution, as an integer-valued double
  std::uint32_t maximum_contributors_ = 1;
  std::uint32_t bits_ = 32;
};

}  // namespace fedmeta
