#pragma once

#include <memory>
#include <vector>

#include "fedmeta/client/data/task_generator.h"

namespace fedmeta {

/// The training rows of several sites as if one held them all: what the baseline `pooled` trains
/// on. Each site's rows are encoded as the site itself would. At least one site. It draws no tasks.
std::unique_ptr<TaskGenerator> MakePooledTasks(std::vector<std::unique_ptr<TaskGenerator>> sites);

}  // namespace fedmeta
