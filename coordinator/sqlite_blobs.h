#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <vector>

#include "fedmeta/coordinator/blob_files.h"
#include "fedmeta/coordinator/round_store.h"
#include "fedmeta/coordinator/sqlite_database.h"
#include "fedmeta/core/bytes.h"
#include "fedmeta/core/result.h"

namespace fedmeta {

/// The blobs of a SQLite store: small ones in rows, which a commit writes and syncs together with
/// everything else, large ones in files. Counts the names of each and removes one with its last
/// name. Not thread-safe.
class SqliteBlobs {
 public:
  /// The database is borrowed and has its schema. Removes the files of blobs that nothing names.
  static Result<SqliteBlobs> Open(SqliteDatabase& database, const std::filesystem::path& folder,
                                  Durability durability);

  /// A small one waits in memory until it is named.
  Result<BlobRef> Put(std::span<const std::byte> bytes);
  Result<Bytes> Get(const BlobRef& blob);

  // Within a transaction:
  /// Adds a name; gives the blob's row. Everything named is durable when the transaction is.
  Result<std::int64_t> Name(const BlobRef& blob);
  Status Unname(std::int64_t row);
  Result<BlobRef> Ref(std::int64_t row);
  // After it, once:
  void Committed();
  void RolledBack();

  /// Removes the files of blobs that lost their last name: slow enough that nobody should wait for
  /// it.
  void Tidy();

 private:
  SqliteBlobs(SqliteDatabase& database, BlobFiles files, std::size_t largest_row)
      : database_(&database), largest_row_(largest_row), files_(std::move(files)) {}

  SqliteDatabase* database_;
  std::size_t largest_row_;
  BlobFiles files_;
  SqliteStatement find_, content_, ref_, add_name_, insert_, remove_name_, remove_;
  struct Unnamed {
    std::uint64_t size;
    std::optional<Bytes> content;  ///< none: in a file
  };
  std::map<Digest, Unnamed> unnamed_;
  std::vector<Digest> named_;          ///< of unnamed_, in this transaction
  std::vector<Digest> removed_files_;  ///< in this transaction
  std::set<Digest> nameless_files_;    ///< for Tidy
};

}  // namespace fedmeta
