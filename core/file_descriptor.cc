#include "fedmeta/core/file_descriptor.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <string>
#include <unistd.h>

namespace fedmeta {

FileDescriptor::~FileDescriptor() {
  if (fd_ >= 0) ::close(fd_);
}

Error SystemError(const char* doing, const std::filesystem::path& path) {
  const int code = errno;
  const ErrorCode kind = code == ENOENT                     ? ErrorCode::kNotFound
                         : code == ENOSPC || code == EDQUOT ? ErrorCode::kResourceExhausted
                                                            : ErrorCode::kInternal;
  return {kind, std::string(doing) + " " + path.string() + ": " + std::strerror(code)};
}

Status WriteAll(int fd, std::span<const std::byte> content, const std::filesystem::path& path) {
  while (!content.empty()) {
    const ssize_t written = ::write(fd, content.data(), content.size());
    if (written < 0) {
      if (errno == EINTR) continue;
      return SystemError("cannot write", path);
    }
    content = content.subspan(static_cast<std::size_t>(written));
  }
  return {};
}

Status SyncFolder(const std::filesystem::path& folder) {
  const FileDescriptor directory(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (directory.get() < 0) return SystemError("cannot open", folder);
  // Some file systems cannot sync a folder, and say so.
  if (::fsync(directory.get()) != 0 && errno != EINVAL) return SystemError("cannot sync", folder);
  return {};
}

std::filesystem::path FolderOf(const std::filesystem::path& path) {
  return path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
}

}  // namespace fedmeta
