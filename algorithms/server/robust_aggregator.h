#pragma once

#include <cstddef>
#include <memory>
#include <span>

#include "fedmeta/algorithms/server/aggregator.h"
#include "fedmeta/core/result.h"

namespace fedmeta {

/// Updates of one round, one a client, in the order of the clients' names; all of one length, all
/// finite.
using Updates = std::span<const std::span<const float>>;

/// A rule that looks at single updates and withstands some poisoned ones. Each client counts once,
/// whatever weight it gives itself: a weight that a client names is one more thing it can lie
/// about. Immutable.
class RobustRule {
 public:
  virtual ~RobustRule() = default;
  /// Fewest updates for which it holds what it promises.
  virtual std::size_t fewest() const = 0;
  /// `result`: of an update's length, within the hull of the updates in each coordinate, or between
  /// it and 0.
  virtual void Combine(Updates updates, std::span<double> result) const = 0;
  /// The same of segments that hold averages (ServerRule::kMean): no changes, so that their length
  /// means nothing.
  virtual void CombineAverages(Updates updates, std::span<double> result) const {
    Combine(updates, result);
  }
};

/// An aggregator of `rule`. It applies it by itself to all optimised, all averaged and all
/// accumulated segments of the layout, each seen as one vector: their units differ, and a client
/// that is honest in one may not hide in another. What is accumulated (control variates) is then no
/// longer the exact mean of what the clients keep.
///
/// It holds n x d float32 values until Finish: clients x coordinates of the layout. The result does
/// not depend on the order in which contributions come. Refused by Add (kInvalidArgument): an
/// update of more than 2^24 in a coordinate, which only weights below 1 make possible, and a second
/// contribution of a client; by Finish (kFailedPrecondition): fewer than rule->fewest().
Result<std::unique_ptr<Aggregator>> MakeRobustAggregator(std::unique_ptr<RobustRule> rule,
                                                         const AggregatorContext& context);

}  // namespace fedmeta
