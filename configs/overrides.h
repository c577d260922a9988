#pragma once

#include <span>
#include <string>
#include <vector>

#include "fedmeta/configs/problem.h"
#include "fedmeta/configs/yaml_tree.h"

namespace fedmeta {

/// "argument 3": the place of values that came from the command line; counted from 1.
Place ArgumentPlace(std::size_t number);

/// Applies "key.path=value" arguments to a tree in their order, the value being YAML:
/// "algorithm.adaptation_steps=[1, 5]", "evaluation.baselines[0].learning_rate=0.1". Blocks on the
/// way are made; a list element must be there.
void ApplyOverrides(std::span<const std::string> arguments, YamlNode& root,
                    std::vector<Problem>& problems);

}  // namespace fedmeta
