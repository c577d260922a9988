#pragma once

#include <cstddef>
#include <vector>

#include "fedmeta/client/data/task_generator.h"
#include "fedmeta/core/result.h"
#include "fedmeta/core/rng.h"

namespace fedmeta {

/// The support rows of a task dealt out to at most `folds` parts with nearly the same share of each
/// class, nobody's rows in two of them. Task i queries part i and supports on the others, by which
/// its examples are encoded. Empty where that cannot be: a class of a single row or person, or no
/// table.
Result<std::vector<TaskExamples>> CrossValidate(const TaskExamples& task, std::size_t folds,
                                                Rng& rng);

}  // namespace fedmeta
