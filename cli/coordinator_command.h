#pragma once

#include "fedmeta/algorithms/server/server_registry.h"
#include "fedmeta/cli/command.h"
#include "fedmeta/configs/plugin_tables.h"

namespace fedmeta {

Command CoordinatorCommand(const PluginTables& schema, const ServerRegistry& server);

}  // namespace fedmeta
