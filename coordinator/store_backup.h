#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "fedmeta/core/clock.h"
#include "fedmeta/core/result.h"

namespace fedmeta {

/// What makes up a coordinator's durable state.
struct StoreFiles {
  std::filesystem::path store;  ///< of SQLite; blobs beside it
  std::filesystem::path audit;  ///< of AuditLog
  std::filesystem::path epoch() const { return store.string() + ".epoch"; }  ///< v1::SignedEpoch
};

/// Copies them into a new folder (store.db, store.db.blobs, audit.jsonl, store.db.epoch) as they
/// were at one moment, also while the coordinator runs. kAlreadyExists: the folder is not empty.
/// kUnavailable: rounds were committed too quickly for the blobs to be copied; try again.
Status BackupStore(const StoreFiles& files, const std::filesystem::path& folder);

/// The epoch that a coordinator's files are of; 1 without a file. kDataLoss for a damaged one.
Result<std::uint64_t> EpochOf(const std::filesystem::path& epoch_file);

struct RestoreOptions {
  std::filesystem::path folder;  ///< that BackupStore made
  std::string signed_epoch;      ///< v1::SignedEpoch
  std::string coordinator;       ///< identity that it has to name
  std::string trust_pem;         ///< of the authority that has to have signed it
};
/// Puts a backup in the place of the files, which are kept beside it under "<name>.before-<time>".
/// kPermissionDenied: the epoch is not signed by the authority, of another coordinator, or not
/// higher than those of the backup and of the files that it replaces. kUnavailable: a coordinator
/// runs. Returns the epoch's number.
Result<std::uint64_t> RestoreStore(const StoreFiles& files, const RestoreOptions& options,
                                   const Clock& clock);

}  // namespace fedmeta
