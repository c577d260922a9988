#pragma once

#include <string>

#include "fedmeta/configs/plugin_tables.h"
#include "fedmeta/core/result.h"

namespace fedmeta {

/// `fedmeta coordinator FILE.yaml backup PATH`: also while it runs.
Status BackUpCoordinator(const PluginTables& schema, const std::string& file,
                         const std::string& folder);
/// `fedmeta coordinator FILE.yaml restore PATH --new-epoch EPOCHFILE`: while it does not run.
Status RestoreCoordinator(const PluginTables& schema, const std::string& file,
                          const std::string& folder, const std::string& epoch_file);

}  // namespace fedmeta
