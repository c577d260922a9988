#pragma once

#include <string>
#include <vector>

#include "fedmeta/configs/source_map.h"
#include "fedmeta/core/result.h"

namespace fedmeta {

/// One thing wrong with a configuration.
struct Problem {
  Place place;
  std::string message;  ///< field, value, bound, nearest key, what to do
};

/// Every problem, one a line "place: message", then "2 problems. Nothing was started.":
/// kInvalidArgument.
Error ProblemsError(const std::vector<Problem>& problems);

}  // namespace fedmeta
