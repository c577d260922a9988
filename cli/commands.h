#pragma once

#include "fedmeta/cli/command.h"
#include "fedmeta/client/data/source.h"
#include "fedmeta/configs/plugin_tables.h"

namespace fedmeta {

// Subcommands that need no LibTorch; one file each.
Command AuditCommand();
Command CheckCommand(const PluginTables& tables, const DataRegistry& data);
Command ExplainCommand(const PluginTables& tables);
Command PkiCommand();
Command PrivacyCommand(const PluginTables& tables);
Command ReportCommand();
Command SignCommand(const PluginTables& schema);
Command SiteCommand(const PluginTables& tables);

}  // namespace fedmeta
