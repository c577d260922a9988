#pragma once

#include "fedmeta/configs/plugin_tables.h"
#include "fedmeta/simulator/prepare.h"

namespace fedmeta {

/// The sites of partition.site_files, each read as it would read itself. A site that is too small
/// for its tasks is left out, and said. Errors: every file, source and table that cannot be used,
/// all at once; fewer training sites than the cohort.
Result<SimulationData> OpenSites(const v1::Experiment& experiment, const DataRegistry& registry,
                                 const PluginTables& schema);

}  // namespace fedmeta
