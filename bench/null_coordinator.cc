// `fedmeta-coordinator`, which also accepts experiments with the algorithm "null" (null_learn.cc).
#include "null_schema.h"

#include "fedmeta/cli/coordinator_command.h"

int main(int argc, char** argv) {
  return fedmeta::RunCommands(
      argc, argv, "null-coordinator", "The coordinator with the algorithm null.",
      {fedmeta::CoordinatorCommand(fedmeta::NullSchema(), fedmeta::BuiltinServer())});
}
