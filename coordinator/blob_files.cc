#include "fedmeta/coordinator/blob_files.h"

#include <algorithm>
#include <fcntl.h>
#include <string_view>
#include <system_error>
#include <unistd.h>
#include <utility>

#include "fedmeta/coordinator/store_checks.h"
#include "fedmeta/core/file.h"
#include "fedmeta/core/file_descriptor.h"

namespace fedmeta {
namespace {

bool IsHex(std::string_view name) {
  return name.size() == 2 * Digest::kSize && std::all_of(name.begin(), name.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

}  // namespace

Result<BlobFiles> BlobFiles::Open(const std::filesystem::path& folder, Durability durability) {
  FEDMETA_RETURN_IF_ERROR(MakeWritableFolder(folder, 0700));
  return BlobFiles(folder, durability);
}

Status BlobFiles::Put(const Digest& sha256, std::span<const std::byte> content) {
  const std::filesystem::path path = folder_ / sha256.hex();
  const auto fail = [&](Error error) {
    ::unlink(path.c_str());
    return error;
  };
  const FileDescriptor file(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (file.get() < 0) return SystemError("cannot create", path);
  names_synced_ = false;
  const Status written = WriteAll(file.get(), content, path);
  if (!written.ok()) return fail(written.error());
  if (durability_ == Durability::kPower && ::fsync(file.get()) != 0) {
    return fail(SystemError("cannot sync", path));
  }
  return {};
}

Status BlobFiles::Sync() {
  if (names_synced_ || durability_ != Durability::kPower) return {};
  FEDMETA_RETURN_IF_ERROR(SyncFolder(folder_));
  names_synced_ = true;
  return {};
}

Result<Bytes> BlobFiles::Get(const BlobRef& blob) const {
  const std::filesystem::path path = folder_ / blob.sha256.hex();
  const auto damaged = [&](std::string_view what) {
    return DamagedBlob(blob, path.string() + " " + std::string(what) + ": put back a copy of it");
  };
  std::error_code error;
  const std::uintmax_t size = std::filesystem::file_size(path, error);
  if (error) return damaged("cannot be read: " + error.message());
  if (size != blob.size) return damaged("has " + std::to_string(size) + " bytes");
  const Result<std::string> content = ReadFile(path);
  if (!content.ok()) return content.error();
  if (Digest::Of(*content) != blob.sha256) return damaged("has another content");
  const std::span<const std::byte> bytes = AsBytes(*content);
  return Bytes(bytes.begin(), bytes.end());
}

void BlobFiles::Remove(const Digest& sha256) { ::unlink((folder_ / sha256.hex()).c_str()); }

Status BlobFiles::RemoveOthers(const std::set<std::string>& named) {
  std::error_code error;
  for (auto at = std::filesystem::directory_iterator(folder_, error);
       !error && at != std::filesystem::directory_iterator(); at.increment(error)) {
    const std::string name = at->path().filename().string();
    if (!IsHex(name) || named.contains(name)) continue;
    if (::unlink(at->path().c_str()) != 0) return SystemError("cannot remove", at->path());
  }
  if (error) {
    return Error(ErrorCode::kInternal, "cannot list " + folder_.string() + ": " + error.message());
  }
  return {};
}

}  // namespace fedmeta
