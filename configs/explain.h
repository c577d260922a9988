#pragma once

#include <string>
#include <string_view>

#include "fedmeta/configs/plugin_tables.h"
#include "fedmeta/core/result.h"

namespace fedmeta {

/// `fedmeta explain [KEY]`: documentation from the schema. KEY is a path ("evaluation.steps"), a
/// block, a plug-in ("maml") or one of its keys ("maml.inner_learning_rate"); empty: the three
/// files with one line a key. Unknown: kInvalidArgument with the nearest.
Result<std::string> Explain(const PluginTables& tables, std::string_view key);
/// docs/configuration.md, whole; a test compares it with the file in the tree.
std::string ConfigurationMarkdown(const PluginTables& tables);

}  // namespace fedmeta
