#pragma once

#include <filesystem>
#include <span>
#include <string>

#include "fedmeta/core/result.h"

namespace fedmeta {

/// One self-contained HTML page out of a run folder's files (see contract.md, report.html). Works
/// on a run that is still going or failed.
Result<std::string> MakeReport(const std::filesystem::path& run_dir);

}  // namespace fedmeta
