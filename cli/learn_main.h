#pragma once

#include "fedmeta/algorithms/server/server_registry.h"
#include "fedmeta/client/leg_runtime.h"
#include "fedmeta/configs/plugin_tables.h"

namespace fedmeta {

/// What a program that learns is made of: the schema of its plug-ins and their factories. A
/// consumer adds its own lines to the builtin tables and calls LearnMain from its own main.
struct LearnProgram {
  PluginTables schema;
  LearnRegistries registries;
  ServerRegistry server;
};
LearnProgram BuiltinLearnProgram();

/// `fedmeta-learn`: run, init, partition, client, adapt.
int LearnMain(int argc, char** argv, const LearnProgram& program);

}  // namespace fedmeta
