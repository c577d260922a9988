#pragma once

#include <cstdint>
#include <filesystem>
#include <span>

#include "fedmeta/coordinator/sqlite_database.h"
#include "fedmeta/core/result.h"

namespace fedmeta {

/// SQL that makes a database of version N of one of version N - 1, where N - 1 is its index.
using SchemaStep = const char*;
/// The steps of this program; version 0 is an empty file.
std::span<const SchemaStep> StoreSchema();

/// Brings a database to the last version of `steps`, in one transaction. Of one that is not empty a
/// copy "<path>.version-<N>" is made before, with hard links to its blobs beside it: a store as the
/// older program left it, for going back. kFailedPrecondition: a newer program wrote it.
Status MigrateStore(SqliteDatabase& database, std::span<const SchemaStep> steps);

/// Where the blobs of the database at `path` lie that are too large for its rows.
std::filesystem::path BlobFolderOf(const std::filesystem::path& path);

}  // namespace fedmeta
