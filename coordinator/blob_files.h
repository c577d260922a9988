#pragma once

#include <filesystem>
#include <set>
#include <span>
#include <string>
#include <utility>

#include "fedmeta/coordinator/round_store.h"
#include "fedmeta/core/bytes.h"
#include "fedmeta/core/result.h"

namespace fedmeta {

/// Blobs as files in one folder, each named by its digest. A crash may leave a part of one: the
/// caller's names decide what is there (RemoveOthers). Not thread-safe.
class BlobFiles {
 public:
  /// Makes the folder, for the owner only; its own name is for the caller to sync.
  static Result<BlobFiles> Open(const std::filesystem::path& folder, Durability durability);

  /// Of a blob that nothing names. With Durability::kPower the content is synced, its name only
  /// after Sync().
  Status Put(const Digest& sha256, std::span<const std::byte> content);
  Status Sync();
  /// kDataLoss: not there, or not what its name says.
  Result<Bytes> Get(const BlobRef& blob) const;
  /// What cannot be removed stays until RemoveOthers.
  void Remove(const Digest& sha256);
  /// Removes what earlier crashes left: blobs whose hexadecimal digest is not in `named`. Files of
  /// other names are not touched.
  Status RemoveOthers(const std::set<std::string>& named);

 private:
  BlobFiles(std::filesystem::path folder, Durability durability)
      : folder_(std::move(folder)), durability_(durability) {}

  std::filesystem::path folder_;
  Durability durability_;
  bool names_synced_ = true;
};

}  // namespace fedmeta
