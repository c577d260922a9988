#include "fedmeta/cli/coordinator_command.h"

int main(int argc, char** argv) {
  return fedmeta::RunCommands(
      argc, argv, "fedmeta-coordinator",
      "The coordinator of fedmeta; usually started by `fedmeta`.",
      {fedmeta::CoordinatorCommand(fedmeta::BuiltinPluginTables(), fedmeta::BuiltinServer())});
}
