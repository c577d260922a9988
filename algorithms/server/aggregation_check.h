#pragma once

#include "fedmeta/algorithms/server/server_registry.h"
#include "fedmeta/core/result.h"
#include "fedmeta/v1/experiment.pb.h"

namespace fedmeta {

/// Before a run: whether the aggregation that a loaded experiment names goes with its mode and its
/// cohort, by the aggregator's own word. The loader says the same of the builtin ones with the line
/// of the file; this holds for those that a consumer has registered too. kInvalidArgument: single
/// updates in another mode than plain_robust, or that mode without; a federation.minimum_cohort
/// below Aggregator::fewest(); what the factory refuses.
Status CheckAggregation(const ServerRegistry& registry, const v1::Experiment& experiment);

}  // namespace fedmeta
