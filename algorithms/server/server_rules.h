#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "fedmeta/algorithms/server/server_optimizer.h"
#include "fedmeta/core/result.h"
#include "fedmeta/core/state_layout.h"

namespace fedmeta {

struct RoundOutcome {
  std::uint64_t round = 0;  ///< from 1
  std::uint32_t reported = 0;
  std::uint32_t population = 0;  ///< training clients known, for kAccumulate
};

/// Applies each segment's rule to the server state, in place. `mean` has layout.size() entries: the
/// weighted mean of the clients' updates. An error (a non-finite result) leaves `state` as it was;
/// the optimiser's moments may have moved.
Status ApplyServerRules(const StateLayout& layout, std::span<const double> mean,
                        const RoundOutcome& outcome, ServerOptimizer& optimizer,
                        std::vector<float>& state);

}  // namespace fedmeta
