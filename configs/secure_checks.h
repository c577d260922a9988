#pragma once

#include <vector>

#include "fedmeta/configs/problem.h"
#include "fedmeta/configs/source_map.h"
#include "fedmeta/v1/experiment.pb.h"

namespace fedmeta {

/// Refuses what secure aggregation cannot do, with the inequality and the nearest settings that it
/// can. Looks at privacy.secure_aggregation.mode secure alone.
void CheckSecureAggregation(const v1::Experiment& experiment, const SourceMap& places,
                            std::vector<Problem>& problems);

}  // namespace fedmeta
