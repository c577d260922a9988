#pragma once

#include <vector>

#include "fedmeta/configs/problem.h"
#include "fedmeta/configs/source_map.h"
#include "fedmeta/v1/experiment.pb.h"

namespace fedmeta {

/// Aggregations that look at single updates, and the mode that they need: each only with the other,
/// what does not go with them, and whether a round that may be committed has the reports that the
/// rule needs (the inequality and the nearest settings that hold). Malicious sites of a simulation.
void CheckRobustAggregation(const v1::Experiment& experiment, const SourceMap& places,
                            std::vector<Problem>& problems);

}  // namespace fedmeta
