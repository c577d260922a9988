#include "fedmeta/coordinator/sqlite_blobs.h"

#include <string>
#include <string_view>
#include <utility>

#include "fedmeta/coordinator/store_checks.h"

namespace fedmeta {
namespace {

// In bytes; measured (docs/decisions.md). A row is written twice, a file has to be synced.
constexpr std::size_t kLargestRow = std::size_t{64} << 10;
constexpr std::size_t kLargestSyncedRow = std::size_t{256} << 10;

}  // namespace

Result<SqliteBlobs> SqliteBlobs::Open(SqliteDatabase& database, const std::filesystem::path& folder,
                                      Durability durability) {
  FEDMETA_ASSIGN_OR_RETURN(BlobFiles files, BlobFiles::Open(folder, durability));
  SqliteBlobs blobs(database, std::move(files),
                    durability == Durability::kPower ? kLargestSyncedRow : kLargestRow);
  const std::pair<SqliteStatement*, std::string_view> statements[] = {
      {&blobs.find_, "SELECT size FROM blob WHERE sha256 = ?1"},
      {&blobs.content_, "SELECT size, content FROM blob WHERE sha256 = ?1"},
      {&blobs.ref_, "SELECT sha256, size FROM blob WHERE id = ?1"},
      {&blobs.add_name_,
       "UPDATE blob SET names = names + 1 WHERE sha256 = ?1 AND size = ?2 RETURNING id"},
      {&blobs.insert_, "INSERT INTO blob (sha256, size, names, content) VALUES (?1, ?2, 1, ?3)"},
      {&blobs.remove_name_,
       "UPDATE blob SET names = names - 1 WHERE id = ?1 RETURNING names, content IS NULL, sha256"},
      {&blobs.remove_, "DELETE FROM blob WHERE id = ?1"},
  };
  for (const auto& [statement, sql] : statements) {
    FEDMETA_ASSIGN_OR_RETURN(*statement, database.Prepare(sql));
  }
  FEDMETA_ASSIGN_OR_RETURN(SqliteStatement in_files,
                           database.Prepare("SELECT sha256 FROM blob WHERE content IS NULL"));
  SqliteRows rows = in_files.Start();
  std::set<std::string> named;
  for (;;) {
    FEDMETA_ASSIGN_OR_RETURN(const bool another, rows.Next());
    if (!another) break;
    FEDMETA_ASSIGN_OR_RETURN(const Digest digest, Digest::FromBytes(rows.Content(0)));
    named.insert(digest.hex());
  }
  FEDMETA_RETURN_IF_ERROR(blobs.files_.RemoveOthers(named));
  return blobs;
}

Result<BlobRef> SqliteBlobs::Put(std::span<const std::byte> bytes) {
  const BlobRef blob{.sha256 = Digest::Of(bytes), .size = bytes.size()};
  if (unnamed_.contains(blob.sha256)) return blob;
  const std::string key = blob.sha256.bytes();
  SqliteRows found = find_.Start(AsBytes(key));
  FEDMETA_ASSIGN_OR_RETURN(const bool there, found.Next());
  if (there) return blob;
  Unnamed unnamed{.size = blob.size, .content = std::nullopt};
  if (bytes.size() <= largest_row_) {
    unnamed.content.emplace(bytes.begin(), bytes.end());
  } else {
    nameless_files_.erase(blob.sha256);
    FEDMETA_RETURN_IF_ERROR(files_.Put(blob.sha256, bytes));
  }
  unnamed_.emplace(blob.sha256, std::move(unnamed));
  return blob;
}

Result<Bytes> SqliteBlobs::Get(const BlobRef& blob) {
  if (const auto found = unnamed_.find(blob.sha256); found != unnamed_.end()) {
    if (found->second.size != blob.size) return OtherSize(blob, found->second.size);
    if (found->second.content) return *found->second.content;
    return files_.Get(blob);
  }
  const std::string key = blob.sha256.bytes();
  SqliteRows row = content_.Start(AsBytes(key));
  FEDMETA_ASSIGN_OR_RETURN(const bool there, row.Next());
  if (!there) return NoBlob(blob);
  const auto size = static_cast<std::uint64_t>(row.Integer(0));
  if (size != blob.size) return OtherSize(blob, size);
  if (row.IsNull(1)) return files_.Get(blob);
  const std::span<const std::byte> content = AsBytes(row.Content(1));
  if (Digest::Of(content) != blob.sha256) {
    return DamagedBlob(blob, database_->path().string() +
                                 " has another content for it: put back a copy of the store");
  }
  return Bytes(content.begin(), content.end());
}

Result<std::int64_t> SqliteBlobs::Name(const BlobRef& blob) {
  const std::string key = blob.sha256.bytes();
  const auto size = static_cast<std::int64_t>(blob.size);
  {
    SqliteRows named = add_name_.Start(AsBytes(key), size);
    FEDMETA_ASSIGN_OR_RETURN(const bool there, named.Next());
    if (there) {
      const std::int64_t row = named.Integer(0);
      FEDMETA_RETURN_IF_ERROR(named.Next());
      return row;
    }
  }
  const auto found = unnamed_.find(blob.sha256);
  if (found == unnamed_.end() || found->second.size != blob.size) return NoBlob(blob);
  if (found->second.content) {
    FEDMETA_RETURN_IF_ERROR(
        insert_.Run(AsBytes(key), size, std::span<const std::byte>(*found->second.content)));
  } else {
    FEDMETA_RETURN_IF_ERROR(files_.Sync());
    FEDMETA_RETURN_IF_ERROR(insert_.Run(AsBytes(key), size, nullptr));
  }
  named_.push_back(blob.sha256);
  return database_->LastInsertedRow();
}

Status SqliteBlobs::Unname(std::int64_t row) {
  {
    SqliteRows unnamed = remove_name_.Start(row);
    FEDMETA_ASSIGN_OR_RETURN(const bool there, unnamed.Next());
    if (!there || unnamed.Integer(0) > 0) return {};
    if (unnamed.Integer(1) != 0) {
      FEDMETA_ASSIGN_OR_RETURN(const Digest digest, Digest::FromBytes(unnamed.Content(2)));
      removed_files_.push_back(digest);
    }
  }
  return remove_.Run(row);
}

Result<BlobRef> SqliteBlobs::Ref(std::int64_t row) {
  SqliteRows found = ref_.Start(row);
  FEDMETA_ASSIGN_OR_RETURN(const bool there, found.Next());
  if (!there) {
    return Error(ErrorCode::kDataLoss, "store " + database_->path().string() +
                                           ": a blob that it names is missing: put back a copy");
  }
  FEDMETA_ASSIGN_OR_RETURN(const Digest digest, Digest::FromBytes(found.Content(0)));
  return BlobRef{.sha256 = digest, .size = static_cast<std::uint64_t>(found.Integer(1))};
}

void SqliteBlobs::Committed() {
  for (const Digest& digest : named_) unnamed_.erase(digest);
  nameless_files_.insert(removed_files_.begin(), removed_files_.end());
  RolledBack();
}

void SqliteBlobs::RolledBack() {
  named_.clear();
  removed_files_.clear();
}

void SqliteBlobs::Tidy() {
  for (const Digest& digest : std::exchange(nameless_files_, {})) files_.Remove(digest);
}

}  // namespace fedmeta
