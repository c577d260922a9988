#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <utility>

#include "fedmeta/core/result.h"

namespace fedmeta {

/// Owns an open file; closes it. -1: none.
class FileDescriptor {
 public:
  explicit FileDescriptor(int fd = -1) : fd_(fd) {}
  FileDescriptor(FileDescriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  FileDescriptor& operator=(FileDescriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~FileDescriptor();
  int get() const { return fd_; }

 private:
  int fd_;
};

/// What the system said about the last call (errno): "cannot write PATH: No space left on device".
/// kNotFound, kResourceExhausted for a full disk, else kInternal.
Error SystemError(const char* doing, const std::filesystem::path& path);
/// However many calls it takes.
Status WriteAll(int fd, std::span<const std::byte> content, const std::filesystem::path& path);
/// Makes names in this folder (created, renamed, removed) outlive a loss of power.
Status SyncFolder(const std::filesystem::path& folder);
/// The folder that a path lies in, "." for a bare name.
std::filesystem::path FolderOf(const std::filesystem::path& path);

}  // namespace fedmeta
