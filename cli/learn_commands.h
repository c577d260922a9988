#pragma once

#include "fedmeta/cli/command.h"
#include "fedmeta/cli/learn_main.h"

namespace fedmeta {

// Subcommands that need LibTorch or the learning registries; one file each.
Command RunCommand(const LearnProgram& program);
Command SweepCommand(const LearnProgram& program);
Command InitCommand(const LearnProgram& program);
Command PartitionCommand(const LearnProgram& program);
Command ClientCommand(const LearnProgram& program);
Command AdaptCommand(const LearnProgram& program);
Command PredictCommand(const LearnProgram& program);
Command RehearseCommand(const LearnProgram& program);

}  // namespace fedmeta
