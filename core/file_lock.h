#pragma once

#include <filesystem>

#include "fedmeta/core/file_descriptor.h"
#include "fedmeta/core/result.h"

namespace fedmeta {

/// Keeps other processes from a file or folder while it lives; ends with the process, however that
/// ends.
class FileLock {
 public:
  /// Locks the file "<path>.lock", which says the holder's process id. kUnavailable: held.
  static Result<FileLock> Acquire(const std::filesystem::path& path);

 private:
  explicit FileLock(FileDescriptor file) : file_(std::move(file)) {}
  FileDescriptor file_;
};

}  // namespace fedmeta
