#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "fedmeta/core/ids.h"
#include "fedmeta/core/result.h"
#include "fedmeta/core/state_layout.h"

namespace fedmeta {

/// A sum that does not depend on order: 64-bit fixed point (two's complement, wrapping). Ranks
/// all-reduce it, threads add to it in any order, secure aggregation unmasks into it.
struct PartialSum {
  std::vector<std::uint64_t>
      coordinates;  ///< as ContributionCodec lays them out: weighted update, weight, metric sums
  std::uint32_t contributors = 0;
};

/// What an aggregation is made for: the form of the contributions that it adds up.
struct AggregatorContext {
  /// Of the update at the front of each contribution; weight and metric sums follow. Null: there is
  /// none (evaluation). Read while the aggregator is made.
  const StateLayout* layout = nullptr;
  double update_unit = 1;  ///< of weight x update: what a word of 1 stands for
  double weight_unit = 1;  ///< of the weight
};

/// Turns contributions into one encoded sum. Sees a contribution only whole and verified: uploads
/// are staged first, so a client that dies in mid-upload leaves no trace in the sum. Not
/// thread-safe; `Add` is called on the work pool, one call at a time.
class Aggregator {
 public:
  virtual ~Aggregator() = default;
  /// False: it only adds, so that sums of sums will do. True: it looks at each client's update
  /// (robust_aggregator.h).
  virtual bool NeedsIndividualUpdates() const = 0;
  /// Fewest contributions of which Finish makes a sum: checked before a run (aggregation_check.h).
  virtual std::size_t fewest() const { return 1; }
  /// One client's encoded contribution, the same length from each. After an error nothing of it is
  /// kept.
  virtual Status Add(const ClientId& client, std::span<const std::uint64_t> encoded) = 0;
  /// For sharded simulation; an aggregator of individual updates refuses: it gathers instead.
  virtual Status Merge(const PartialSum& other) = 0;
  /// The encoded sum (the codec decodes and divides); empty sums are an error. The aggregator
  /// starts anew. Of individual updates: the rule's result as the update of one client of weight 1,
  /// so that dividing leaves it as it is, with the metric sums of all.
  virtual Result<PartialSum> Finish() = 0;
  /// Throws away what was added (an attempt was abandoned).
  virtual void Reset() = 0;
};

}  // namespace fedmeta
