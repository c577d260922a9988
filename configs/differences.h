#pragma once

#include <string>
#include <vector>

#include "fedmeta/configs/plugin_tables.h"
#include "fedmeta/core/result.h"

namespace fedmeta {

/// A key of two resolved experiments that is not the same in both.
struct KeyDifference {
  std::string path;           ///< "federation.cohort", "evaluation.baselines[0].name"
  std::string before, after;  ///< as YAML; empty: absent
  bool changeable = false;    ///< a run may be resumed with it: Key.changeable, and paths
};

/// Both as PrintYaml writes them. In order of path.
Result<std::vector<KeyDifference>> Differences(const std::string& before, const std::string& after,
                                               const PluginTables& tables);

}  // namespace fedmeta
