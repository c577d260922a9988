#pragma once

#include <cstddef>
#include <vector>

#include "fedmeta/algorithms/server/robust_aggregator.h"

// For this room only.
namespace fedmeta {

/// Places of the updates by their Krum score, best first (Blanchard et al. 2017, "Machine Learning
/// with Adversaries", section 4): the sum of the squared distances to the n - f - 2 nearest other
/// updates. Of equal scores the client whose name comes first. Needs n >= 2 f + 3; costs n^2 x d.
std::vector<std::size_t> RankByKrum(Updates updates, std::size_t byzantine);

}  // namespace fedmeta
