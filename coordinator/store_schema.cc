#include "fedmeta/coordinator/store_schema.h"

#include <fcntl.h>
#include <string>
#include <system_error>
#include <unistd.h>

#include "fedmeta/core/file_descriptor.h"

namespace fedmeta {
namespace {

namespace fs = std::filesystem;

constexpr SchemaStep kSteps[] = {
    // Released versions are never edited: a change is a further step.
    R"(
CREATE TABLE run (
  id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, epoch INTEGER NOT NULL,
  description BLOB, presence BLOB NOT NULL DEFAULT x''
) STRICT;
-- names: how many columns below name it; content: null where it lies in a file
CREATE TABLE blob (
  id INTEGER PRIMARY KEY, sha256 BLOB NOT NULL UNIQUE, size INTEGER NOT NULL,
  names INTEGER NOT NULL, content BLOB
) STRICT;
-- the head: null before the first commit
CREATE TABLE leg (
  id INTEGER PRIMARY KEY, run INTEGER NOT NULL REFERENCES run, name TEXT NOT NULL UNIQUE,
  round INTEGER, attempt INTEGER,
  state INTEGER REFERENCES blob, optimizer_state INTEGER REFERENCES blob
) STRICT;
-- round, attempt: the commit that changed it
CREATE TABLE client_state (
  leg INTEGER NOT NULL REFERENCES leg, client TEXT NOT NULL,
  round INTEGER NOT NULL, attempt INTEGER NOT NULL, blob INTEGER NOT NULL REFERENCES blob,
  PRIMARY KEY (leg, client)
) STRICT, WITHOUT ROWID;
CREATE TABLE attempt (
  leg INTEGER NOT NULL REFERENCES leg, purpose INTEGER NOT NULL, round INTEGER NOT NULL,
  attempt INTEGER NOT NULL, ended INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (leg, purpose, round, attempt)
) STRICT, WITHOUT ROWID;
CREATE TABLE journal (
  sequence INTEGER PRIMARY KEY, leg INTEGER NOT NULL REFERENCES leg, purpose INTEGER NOT NULL,
  round INTEGER NOT NULL, attempt INTEGER NOT NULL, outcome BLOB NOT NULL
) STRICT;
CREATE TABLE charge (
  sequence INTEGER PRIMARY KEY, leg INTEGER NOT NULL REFERENCES leg, purpose INTEGER NOT NULL,
  round INTEGER NOT NULL, attempt INTEGER NOT NULL, session INTEGER NOT NULL,
  epsilon REAL NOT NULL, delta REAL NOT NULL,
  masked_sum INTEGER NOT NULL REFERENCES blob, receipts INTEGER NOT NULL REFERENCES blob,
  UNIQUE (leg, purpose, round, attempt, session)
) STRICT;
CREATE TABLE kept (
  run INTEGER NOT NULL REFERENCES run, name TEXT NOT NULL, blob INTEGER NOT NULL REFERENCES blob,
  PRIMARY KEY (run, name)
) STRICT, WITHOUT ROWID;
)"};

Error CannotCopy(const fs::path& copy, const std::error_code& error) {
  return {ErrorCode::kInternal, "cannot copy the store to " + copy.string() + ": " +
                                    error.message() + ": nothing was migrated"};
}

// The whole copy is there under its name, and outlives a loss of power, before anything is changed.
Status CopyStore(SqliteDatabase& database, std::int64_t version) {
  const fs::path blobs = BlobFolderOf(database.path());
  const fs::path copy = database.path().string() + ".version-" + std::to_string(version);
  const fs::path temporary = copy.string() + ".tmp";
  ::unlink(temporary.c_str());
  FEDMETA_ASSIGN_OR_RETURN(SqliteStatement vacuum, database.Prepare("VACUUM INTO ?1"));
  FEDMETA_RETURN_IF_ERROR(vacuum.Run(std::string_view(temporary.native())));
  {
    const FileDescriptor file(::open(temporary.c_str(), O_RDONLY | O_CLOEXEC));
    if (file.get() < 0 || ::fsync(file.get()) != 0) return SystemError("cannot sync", temporary);
  }
  const fs::path links = BlobFolderOf(copy);
  std::error_code error;
  fs::create_directories(links, error);
  if (error) return CannotCopy(links, error);
  for (auto at = fs::directory_iterator(blobs, error); !error && at != fs::directory_iterator();
       at.increment(error)) {
    const fs::path link = links / at->path().filename();
    if (fs::exists(link, error)) continue;
    fs::create_hard_link(at->path(), link, error);
    if (error) fs::copy_file(at->path(), link, error);
    if (error) return CannotCopy(link, error);
  }
  if (error) return CannotCopy(links, error);
  FEDMETA_RETURN_IF_ERROR(SyncFolder(links));
  fs::rename(temporary, copy, error);
  if (error) return CannotCopy(copy, error);
  return SyncFolder(FolderOf(copy));
}

}  // namespace

std::span<const SchemaStep> StoreSchema() { return kSteps; }

std::filesystem::path BlobFolderOf(const std::filesystem::path& path) {
  return path.string() + ".blobs";
}

Status MigrateStore(SqliteDatabase& database, std::span<const SchemaStep> steps) {
  FEDMETA_ASSIGN_OR_RETURN(const std::int64_t version,
                           database.QueryInteger("PRAGMA user_version"));
  const auto latest = static_cast<std::int64_t>(steps.size());
  if (version == latest) return {};
  if (version > latest || version < 0) {
    return Error(ErrorCode::kFailedPrecondition,
                 "store " + database.path().string() + ": schema version " +
                     std::to_string(version) + ", this program knows versions up to " +
                     std::to_string(latest) +
                     ": use the newer program that wrote it, or a copy made for this one (" +
                     database.path().filename().string() + ".version-" + std::to_string(latest) +
                     ", if it is there)");
  }
  if (version == 0) {
    FEDMETA_ASSIGN_OR_RETURN(const std::int64_t tables,
                             database.QueryInteger("SELECT count(*) FROM sqlite_schema"));
    if (tables != 0) {
      return Error(ErrorCode::kInvalidArgument,
                   "store " + database.path().string() +
                       ": a database of another program: name another file");
    }
  } else {
    FEDMETA_RETURN_IF_ERROR(CopyStore(database, version));
  }
  return database.Transaction([&]() -> Status {
    for (std::int64_t next = version; next < latest; ++next) {
      FEDMETA_RETURN_IF_ERROR(database.Execute(steps[static_cast<std::size_t>(next)]));
    }
    return database.Execute("PRAGMA user_version = " + std::to_string(latest));
  });
}

}  // namespace fedmeta
