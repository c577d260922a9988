#include "fedmeta/core/file.h"

#include <cerrno>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fedmeta/core/file_descriptor.h"

namespace fedmeta {

Result<std::string> ReadFile(const std::filesystem::path& path) {
  const FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.get() < 0) return SystemError("cannot read", path);
  std::string content;
  char buffer[1 << 16];
  for (;;) {
    const ssize_t got = ::read(file.get(), buffer, sizeof(buffer));
    if (got < 0) {
      if (errno == EINTR) continue;
      return SystemError("cannot read", path);
    }
    if (got == 0) return content;
    content.append(buffer, static_cast<std::size_t>(got));
  }
}

Status WriteFileAtomically(const std::filesystem::path& path, std::span<const std::byte> content,
                           unsigned mode) {
  // One name a thread. What a crash left there is removed, not reused: it may have wider
  // permissions, or be a link.
  const std::filesystem::path temporary = path.string() + ".tmp" + std::to_string(::gettid());
  ::unlink(temporary.c_str());
  const auto fail = [&](Error error) {
    ::unlink(temporary.c_str());
    return error;
  };
  {
    const FileDescriptor file(
        ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode));
    if (file.get() < 0) return SystemError("cannot create", temporary);
    if (const Status status = WriteAll(file.get(), content, path); !status.ok())
      return fail(status.error());
    if (::fsync(file.get()) != 0) return fail(SystemError("cannot sync", path));
  }
  if (::rename(temporary.c_str(), path.c_str()) != 0)
    return fail(SystemError("cannot replace", path));
  return SyncFolder(FolderOf(path));
}

Status WriteFileAtomically(const std::filesystem::path& path, std::string_view content,
                           unsigned mode) {
  return WriteFileAtomically(path, AsBytes(content), mode);
}

Status AppendFile(const std::filesystem::path& path, std::string_view content) {
  const FileDescriptor file(::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644));
  if (file.get() < 0) return SystemError("cannot open", path);
  struct stat before {};
  if (::fstat(file.get(), &before) != 0) return SystemError("cannot inspect", path);
  const Status status = WriteAll(file.get(), AsBytes(content), path);
  if (!status.ok() && S_ISREG(before.st_mode) && ::ftruncate(file.get(), before.st_size) != 0) {
    return SystemError("cannot remove a half line from", path);
  }
  return status;
}

Status MakeWritableFolder(const std::filesystem::path& path, unsigned mode) {
  std::error_code error;
  const bool existed = std::filesystem::exists(path, error);
  std::filesystem::create_directories(path, error);
  if (error)
    return Error(ErrorCode::kInternal,
                 "cannot create folder " + path.string() + ": " + error.message());
  if (!existed) ::chmod(path.c_str(), mode);
  if (::access(path.c_str(), W_OK | X_OK) != 0)
    return SystemError("cannot write into folder", path);
  return {};
}

}  // namespace fedmeta
