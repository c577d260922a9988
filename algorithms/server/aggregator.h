#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "fedmeta/core/ids.h"
#include "fedmeta/core/result.h"

namespace fedmeta {

/// A sum that does not depend on order: 64-bit fixed point (two's complement, wrapping). Ranks
/// all-reduce it, threads add to it in any order, secure aggregation unmasks into it.
struct PartialSum {
  std::vector<std::uint64_t>
      coordinates;  ///< as ContributionCodec lays them out: weighted update, weight, metric sums
  std::uint32_t contributors = 0;
};

/// Turns contributions into one encoded sum. Sees a contribution only whole and verified: uploads
/// are staged first, so a client that dies in mid-upload leaves no trace in the sum. Not
/// thread-safe; `Add` is called on the work pool, one call at a time.
class Aggregator {
 public:
  virtual ~Aggregator() = default;
  virtual bool NeedsIndividualUpdates() const = 0;
  /// One client's encoded contribution, the same length from each.
  virtual Status Add(const ClientId& client, std::span<const std::uint64_t> encoded) = 0;
  /// For sharded simulation; an aggregator of individual updates gathers instead.
  virtual Status Merge(const PartialSum& other) = 0;
  /// The encoded sum (the codec decodes and divides); empty sums are an error. The aggregator
  /// starts anew.
  virtual Result<PartialSum> Finish() = 0;
  /// Throws away what was added (an attempt was abandoned).
  virtual void Reset() = 0;
};

}  // namespace fedmeta
