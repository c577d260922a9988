#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "fedmeta/core/bytes.h"
#include "fedmeta/core/metric_sums.h"
#include "fedmeta/core/result.h"
#include "fedmeta/core/state_layout.h"

namespace fedmeta {

/// What one client has to say about one round.
struct Contribution {
  std::vector<float> update;         ///< layout size for training, empty for evaluation
  double weight = 0;                 ///< training: > 0; evaluation: 1
  std::vector<MetricSums> metrics;   ///< one a metric cell
};

/// The mean of a round.
struct DecodedSum {
  std::vector<double> mean;          ///< weighted mean of the updates; empty for evaluation
  double weight = 0;                 ///< summed
  std::vector<MetricSums> metrics;   ///< summed over clients
  std::uint32_t contributors = 0;
};

/// The only owner of "clip, append weight, append metric sums, encode, decode, divide". Used in plain mode too, so that
/// secure aggregation is not a second path. Immutable, thread-safe.
///
/// On the wire (plain): update as float32, then weight and metric sums as float64, little-endian.
/// In the sum: 64-bit two's-complement fixed point, 2^-38 of a unit for weight x update entries,
/// 2^-20 of a unit for weights and metric sums (they are large). Out of range is an error that names the tensor.
/// So order, threads, ranks and the live federation give the same bits.
class ContributionCodec {
 public:
  struct Options {
    const StateLayout* layout = nullptr;  ///< null for evaluation: no update
    std::size_t metric_cells = 1;
    double maximum_weight = 1;
    std::uint32_t maximum_contributors = 1;  ///< bounds the sum: entries are refused that could overflow it
  };
  static Result<ContributionCodec> Create(const Options& options);

  std::size_t update_size() const { return update_size_; }
  std::size_t wire_size() const;     ///< bytes of a payload
  std::size_t encoded_size() const;  ///< words of an encoded contribution: update, weight, metrics

  /// Client: refuses non-finite or out-of-range values, a weight outside (0, maximum_weight], wrong sizes.
  Result<Bytes> ToWire(const Contribution& contribution) const;
  /// Coordinator: hostile input. The same checks as ToWire.
  Result<Contribution> FromWire(std::span<const std::byte> payload) const;
  Result<std::vector<std::uint64_t>> Encode(const Contribution& contribution) const;
  /// FromWire and Encode in one pass over the payload, without copies of the update.
  Status EncodeWire(std::span<const std::byte> payload, std::vector<std::uint64_t>& encoded) const;
  Result<DecodedSum> Decode(std::span<const std::uint64_t> sum, std::uint32_t contributors) const;

 private:
  ContributionCodec() = default;
  const StateLayout* layout_ = nullptr;
  std::size_t update_size_ = 0;
  std::size_t metric_cells_ = 1;
  double maximum_weight_ = 1;
  std::uint32_t maximum_contributors_ = 1;
};

}  // namespace fedmeta
