#pragma once

#include <cstdint>
#include <vector>

#include "fedmeta/configs/problem.h"
#include "fedmeta/configs/source_map.h"
#include "fedmeta/v1/experiment.pb.h"

namespace fedmeta {

/// Releases of a whole run without a retry: rounds x methods that train, each setting of a grid on
/// its own.
std::uint64_t PlannedReleases(const v1::Experiment& experiment);

/// Of privacy.differential_privacy: the noise multiplier that an epsilon needs, and the epsilon as
/// budget where none is named.
void FillPrivacyDefaults(v1::Experiment& experiment);

/// Refuses what cannot keep its promise, with the inequality and the nearest settings that can.
void CheckPrivacy(const v1::Experiment& experiment, const SourceMap& places,
                  std::vector<Problem>& problems);

}  // namespace fedmeta
