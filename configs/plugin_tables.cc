#include "fedmeta/configs/plugin_tables.h"

#include "fedmeta/v1/algorithms.pb.h"
#include "fedmeta/v1/data.pb.h"
#include "fedmeta/v1/models.pb.h"
#include "fedmeta/v1/server.pb.h"

namespace fedmeta {

// The schema half of each line; the factories are expanded where they live.
#define FEDMETA_SCHEMA(table, name, settings) \
  result.tables[table].emplace(#name, v1::settings::descriptor());
#define FEDMETA_MODEL(name, settings, factory) FEDMETA_SCHEMA("model", name, settings)
#define FEDMETA_ALGORITHM(name, settings, factory) FEDMETA_SCHEMA("algorithm", name, settings)
#define FEDMETA_AGGREGATION(name, settings, factory) FEDMETA_SCHEMA("aggregation", name, settings)
#define FEDMETA_OPTIMIZER(name, settings, factory) FEDMETA_SCHEMA("optimizer", name, settings)
#define FEDMETA_SOURCE(name, settings, factory) FEDMETA_SCHEMA("source", name, settings)
#define FEDMETA_TASKS(name, settings, factory) FEDMETA_SCHEMA("tasks", name, settings)
#define FEDMETA_SOURCE_TASKS(name, settings) FEDMETA_SCHEMA("tasks", name, settings)

PluginTables BuiltinPluginTables() {
  PluginTables result;
#include "fedmeta/algorithms/meta/registry.inc"
#include "fedmeta/algorithms/models/registry.inc"
#include "fedmeta/algorithms/server/registry.inc"
#include "fedmeta/client/data/registry.inc"
  return result;
}

}  // namespace fedmeta
