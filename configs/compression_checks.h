#pragma once

#include <vector>

#include "fedmeta/configs/problem.h"
#include "fedmeta/configs/source_map.h"
#include "fedmeta/v1/experiment.pb.h"

namespace fedmeta {

/// Refuses compression that would do nothing, or that does not go with secure aggregation or the
/// aggregation rule, with what does (for differential privacy: CheckPrivacy). Also looks at narrow
/// rings (privacy.secure_aggregation.ring_bits) without a block federation.compression.
void CheckCompression(const v1::Experiment& experiment, const SourceMap& places,
                      std::vector<Problem>& problems);

}  // namespace fedmeta
