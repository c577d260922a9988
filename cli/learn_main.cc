#include "fedmeta/cli/learn_main.h"

#include "fedmeta/algorithms/meta/libtorch_process.h"
#include "fedmeta/cli/learn_commands.h"

namespace fedmeta {

LearnProgram BuiltinLearnProgram() {
  return {.schema = BuiltinPluginTables(),
          .registries = {.models = BuiltinModels(),
                         .algorithms = BuiltinMetaLearners(),
                         .data = BuiltinData()},
          .server = BuiltinServer()};
}

int LearnMain(int argc, char** argv, const LearnProgram& program) {
  ConfigureAllocator();
  return RunCommands(argc, argv, "fedmeta-learn",
                     "The part of fedmeta that learns; usually started by `fedmeta`.",
                     {RunCommand(program), SweepCommand(program), InitCommand(program),
                      PartitionCommand(program), ClientCommand(program), AdaptCommand(program),
                      PredictCommand(program), RehearseCommand(program)});
}

}  // namespace fedmeta
