#pragma once

#include <cstddef>
#include <vector>

#include "fedmeta/configs/problem.h"
#include "fedmeta/configs/source_map.h"
#include "fedmeta/v1/experiment.pb.h"

namespace fedmeta {

/// Cells (shots x learning rates x steps) of one evaluation: what protocol/limits.h lets a plan ask
/// for. Rooms may not include each other freely, so the number stands here too and a test holds the
/// two together.
inline constexpr std::size_t kMaximumCellsOfAnEvaluation = 4096;

/// Sets what defaults to another key: minimum_cohort, evaluation.shots and learning_rates,
/// select.steps; or to how it runs: secure aggregation, which live is the default.
void FillDependentDefaults(v1::Experiment& experiment, bool live);

/// What no single key can be blamed for. Needs no data. Looks only at keys that are set, so that it
/// may follow a binding that found problems.
void CheckExperiment(const v1::Experiment& experiment, const SourceMap& places,
                     std::vector<Problem>& problems);

}  // namespace fedmeta
