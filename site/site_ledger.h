#pragma once

#include <filesystem>

#include <nlohmann/json.hpp>

#include "fedmeta/core/result.h"

// For this room only.
namespace fedmeta {

/// What has left the site, out of its state folder: outbound.jsonl summed by experiment and kind,
/// and the lines of privacy_ledger.jsonl as they stand. A file that is not there yet counts as
/// empty.
Result<nlohmann::json> ReadSiteLedger(const std::filesystem::path& state_dir);

}  // namespace fedmeta
