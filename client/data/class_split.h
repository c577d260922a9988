#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "fedmeta/client/data/dataset.h"
#include "fedmeta/core/result.h"
#include "fedmeta/v1/experiment.pb.h"

namespace fedmeta {

/// Which classes a few-shot table's training, validation and hold-out clients draw tasks from.
struct ClassSplit {
  std::vector<std::size_t> train, validation, test;  ///< ascending
};

/// By partition.class_split: none (all classes everywhere), maml (1,100 + 100 / 423 at random from
/// the stream (seed, "class_split")), reptile (1,200 / 423 likewise), vinyals (lists of
/// partition.split_dir: lines alphabet/character/rotation, of which the rotation is ignored,
/// because turning is the tasks' matter; needs a source that names its classes).
Result<ClassSplit> SplitClasses(const v1::Partition& settings, const Dataset& dataset,
                                std::uint64_t seed);

}  // namespace fedmeta
