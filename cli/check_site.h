#pragma once

#include <optional>
#include <string>

#include "fedmeta/cli/findings.h"
#include "fedmeta/client/data/source.h"
#include "fedmeta/configs/loader.h"
#include "fedmeta/v1/client.pb.h"
#include "fedmeta/v1/experiment.pb.h"

namespace fedmeta {

/// Says what an opened source of this name holds.
void DescribeSource(const OpenedSource& source, const std::string& name, const std::string& label,
                    Findings& findings);

/// What a site's data `name` holds and, with an experiment, what would be used of it: as
/// CheckTable, and rows that occur twice where nothing says whose they are. Nothing if it cannot be
/// used. An error of the source or table is reported under `label`.
std::optional<OpenedSource> CheckSiteData(const DataRegistry& registry,
                                          const v1::ClientFile& client, const std::string& name,
                                          const v1::Experiment* experiment,
                                          const std::string& label, Findings& findings);

/// Scheme sites: every file of partition.site_files as a simulation would open it, which sites are
/// too small and take no part, whether enough are left, and rows that a site that never trains
/// shares with those that do.
void CheckSiteFiles(const Loader& loader, const DataRegistry& registry,
                    const v1::Experiment& experiment, Findings& findings);

}  // namespace fedmeta
