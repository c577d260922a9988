#pragma once

#include <span>
#include <string>
#include <vector>

#include "fedmeta/core/result.h"

namespace fedmeta {

/// One run of a sweep.
struct SweepRun {
  std::string name;  ///< its folder: "seed=1,holdout_sites=va"; "run" without axes
  std::vector<std::string> overrides;  ///< one value for each key
};

/// The product of "key=value,value" and "key=first..last" arguments, the first one slowest. Commas
/// within brackets and quotes belong to a value. kInvalidArgument: an argument without '=', an
/// empty value, a range that descends or is too long, the same folder name twice, more than
/// kMaximumSweepRuns runs.
Result<std::vector<SweepRun>> PlanSweep(std::span<const std::string> arguments);
inline constexpr std::size_t kMaximumSweepRuns = 100'000;

}  // namespace fedmeta
