#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "fedmeta/coordinator/round_store.h"
#include "fedmeta/coordinator/store_backup.h"
#include "fedmeta/v1/coordinator.pb.h"

namespace fedmeta {

// Where a coordinator's files lie.

inline std::filesystem::path FolderOfFile(const std::string& file) {
  return std::filesystem::absolute(file).parent_path();
}

/// `store`: of StorePath; `out`: the run folder.
inline std::filesystem::path AuditFile(const v1::CoordinatorFile& config,
                                       const std::optional<std::filesystem::path>& store,
                                       const std::filesystem::path& out) {
  if (config.has_audit()) return config.audit();
  return store ? std::filesystem::path(store->string() + ".audit.jsonl") : out / "audit.jsonl";
}

/// A researcher's signature lies beside the experiment (`fedmeta sign`).
inline std::filesystem::path EndorsementFile(const std::string& experiment) {
  return experiment + ".signature";
}

}  // namespace fedmeta
