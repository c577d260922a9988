#pragma once

#include "fedmeta/configs/plugin_tables.h"
#include "fedmeta/v1/server.pb.h"

namespace fedmeta {

/// The built-in plug-ins and one more algorithm, "null", whose settings have no keys: any message
/// without fields serves.
inline PluginTables NullSchema() {
  PluginTables schema = BuiltinPluginTables();
  schema.tables["algorithm"]["null"] = v1::WeightedMeanSettings::descriptor();
  return schema;
}

}  // namespace fedmeta
