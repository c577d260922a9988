#include "fedmeta/coordinator/store_backup.h"

#include <algorithm>
#include <system_error>
#include <vector>

#include "fedmeta/coordinator/sqlite_database.h"
#include "fedmeta/coordinator/store_schema.h"
#include "fedmeta/core/digest.h"
#include "fedmeta/core/file.h"
#include "fedmeta/core/file_descriptor.h"
#include "fedmeta/core/file_lock.h"
#include "fedmeta/identity/signature.h"
#include "fedmeta/protocol/audit_chain.h"
#include "fedmeta/v1/audit.pb.h"

namespace fedmeta {
namespace {

namespace fs = std::filesystem;

constexpr int kTries = 10;

StoreFiles FilesIn(const fs::path& folder) {
  return {.store = folder / "store.db", .audit = folder / "audit.jsonl"};
}

Error CannotCopy(const fs::path& path, const std::error_code& error) {
  return {ErrorCode::kInternal, "cannot copy to " + path.string() + ": " + error.message()};
}

Status CopyFile(const fs::path& from, const fs::path& to) {
  FEDMETA_ASSIGN_OR_RETURN(const std::string content, ReadFile(from));
  return WriteFileAtomically(to, std::string_view(content), 0600);
}

/// Names of the blobs that lie in files.
Result<std::vector<std::string>> BlobFilesOf(const fs::path& store) {
  FEDMETA_ASSIGN_OR_RETURN(SqliteDatabase database, SqliteDatabase::Open(store));
  FEDMETA_ASSIGN_OR_RETURN(
      SqliteStatement query,
      database.Prepare("SELECT sha256 FROM blob WHERE content IS NULL AND names > 0"));
  std::vector<std::string> names;
  SqliteRows rows = query.Start();
  for (;;) {
    FEDMETA_ASSIGN_OR_RETURN(const bool more, rows.Next());
    if (!more) return names;
    FEDMETA_ASSIGN_OR_RETURN(const Digest digest, Digest::FromBytes(rows.Content(0)));
    names.push_back(digest.hex());
  }
}

/// kNotFound: a blob is gone already, since a later round was committed meanwhile.
Status CopyStoreAndBlobs(const fs::path& from, const fs::path& to) {
  std::error_code error;
  fs::remove(to, error);
  {
    FEDMETA_ASSIGN_OR_RETURN(SqliteDatabase database, SqliteDatabase::Open(from));
    FEDMETA_ASSIGN_OR_RETURN(SqliteStatement vacuum, database.Prepare("VACUUM INTO ?1"));
    FEDMETA_RETURN_IF_ERROR(vacuum.Run(std::string_view(to.native())));
  }
  FEDMETA_ASSIGN_OR_RETURN(const std::vector<std::string> blobs, BlobFilesOf(to));
  const fs::path folder = BlobFolderOf(to);
  FEDMETA_RETURN_IF_ERROR(MakeWritableFolder(folder, 0700));
  for (const std::string& blob : blobs) {
    FEDMETA_RETURN_IF_ERROR(CopyFile(BlobFolderOf(from) / blob, folder / blob));
  }
  return {};
}

Result<v1::Epoch> ParseEpoch(const std::string& bytes, v1::SignedEpoch& signed_epoch) {
  v1::Epoch epoch;
  if (!signed_epoch.ParseFromString(bytes) || !epoch.ParseFromString(signed_epoch.epoch()))
    return Error(ErrorCode::kDataLoss, "not an epoch that `fedmeta pki epoch` made");
  return epoch;
}

Status MoveAside(const fs::path& path, const std::string& suffix) {
  if (!fs::exists(path)) return {};
  std::error_code error;
  const fs::path aside = path.string() + suffix;
  fs::rename(path, aside, error);
  return error ? CannotCopy(aside, error) : Status();
}

}  // namespace

Status BackupStore(const StoreFiles& files, const fs::path& folder) {
  if (!fs::exists(files.store))
    return Error(ErrorCode::kNotFound, files.store.string() + ": there is no store yet");
  std::error_code error;
  if (fs::exists(folder) && !fs::is_empty(folder, error))
    return Error(ErrorCode::kAlreadyExists, folder.string() + ": is not empty: name a new folder");
  FEDMETA_RETURN_IF_ERROR(MakeWritableFolder(folder, 0700));
  const StoreFiles copies = FilesIn(folder);
  // The record first: what the store has committed beyond it is added when it is opened, while a
  // record of rounds that the store does not have would contradict those that follow.
  if (fs::exists(files.audit)) {
    FEDMETA_ASSIGN_OR_RETURN(const std::string audit, ReadFile(files.audit));
    FEDMETA_RETURN_IF_ERROR(WriteFileAtomically(
        copies.audit, std::string_view(audit).substr(0, audit.rfind('\n') + 1), 0600));
  }
  if (fs::exists(files.epoch())) FEDMETA_RETURN_IF_ERROR(CopyFile(files.epoch(), copies.epoch()));
  for (int tried = 0;; ++tried) {
    const Status copied = CopyStoreAndBlobs(files.store, copies.store);
    if (copied.ok() || copied.error().code() != ErrorCode::kNotFound) return copied;
    if (tried == kTries) {
      return Error(ErrorCode::kUnavailable,
                   "rounds are committed more quickly than their states are copied to " +
                       folder.string() + ": try again");
    }
  }
}

Result<std::uint64_t> EpochOf(const fs::path& epoch_file) {
  if (!fs::exists(epoch_file)) return std::uint64_t{1};
  FEDMETA_ASSIGN_OR_RETURN(const std::string bytes, ReadFile(epoch_file));
  v1::SignedEpoch signed_epoch;
  const Result<v1::Epoch> epoch = ParseEpoch(bytes, signed_epoch);
  if (!epoch.ok()) return epoch.error().WithContext(epoch_file.string());
  return epoch->number();
}

Result<std::uint64_t> RestoreStore(const StoreFiles& files, const RestoreOptions& options,
                                   const Clock& clock) {
  const auto refuse = [](const std::string& why) {
    return Error(ErrorCode::kPermissionDenied, "--new-epoch: " + why);
  };
  v1::SignedEpoch signed_epoch;
  const Result<v1::Epoch> epoch = ParseEpoch(options.signed_epoch, signed_epoch);
  if (!epoch.ok()) return epoch.error().WithContext("--new-epoch");
  const Status by_authority = CheckAuthority(kEpochDomain, signed_epoch.epoch(),
                                             signed_epoch.signature(), options.trust_pem);
  if (!by_authority.ok()) return refuse(by_authority.error().message());
  if (epoch->coordinator() != options.coordinator)
    return refuse("is for " + epoch->coordinator() + ", this is " + options.coordinator);
  const StoreFiles backup = FilesIn(options.folder);
  if (!fs::exists(backup.store)) {
    return Error(ErrorCode::kNotFound,
                 options.folder.string() + ": holds no store.db: not a folder that backup made");
  }
  FEDMETA_ASSIGN_OR_RETURN(const std::uint64_t saved, EpochOf(backup.epoch()));
  FEDMETA_ASSIGN_OR_RETURN(const std::uint64_t replaced, EpochOf(files.epoch()));
  if (epoch->number() <= std::max(saved, replaced)) {
    return refuse("is number " + std::to_string(epoch->number()) + ", it must be above " +
                  std::to_string(std::max(saved, replaced)));
  }
  FEDMETA_RETURN_IF_ERROR(MakeWritableFolder(FolderOf(files.store)));
  FEDMETA_ASSIGN_OR_RETURN(const FileLock lock, FileLock::Acquire(files.store));
  const std::string suffix = ".before-" + FormatUtcCompact(clock.Wall());
  const std::string store = files.store.string();
  for (const fs::path& path : {files.store, fs::path(store + "-wal"), fs::path(store + "-shm"),
                               BlobFolderOf(files.store), files.audit, files.epoch()}) {
    FEDMETA_RETURN_IF_ERROR(MoveAside(path, suffix));
  }
  FEDMETA_RETURN_IF_ERROR(CopyStoreAndBlobs(backup.store, files.store));
  if (fs::exists(backup.audit)) FEDMETA_RETURN_IF_ERROR(CopyFile(backup.audit, files.audit));
  // Last: until it is there, clients refuse what was restored.
  FEDMETA_RETURN_IF_ERROR(
      WriteFileAtomically(files.epoch(), std::string_view(options.signed_epoch), 0600));
  return epoch->number();
}

}  // namespace fedmeta
