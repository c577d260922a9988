#include "fedmeta/core/file_lock.h"

#include <cerrno>
#include <fcntl.h>
#include <string>
#include <sys/file.h>
#include <unistd.h>

#include "fedmeta/core/bytes.h"
#include "fedmeta/core/file.h"

namespace fedmeta {

Result<FileLock> FileLock::Acquire(const std::filesystem::path& path) {
  const std::filesystem::path lock = path.string() + ".lock";
  // Never removed: a second process might then lock the removed file, and a third a new one.
  FileDescriptor file(::open(lock.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (file.get() < 0) {
    const Error error = SystemError("cannot open", lock);
    return Error(error.code(), error.message() + ": its folder must exist and be writable");
  }
  if (::flock(file.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return SystemError("cannot lock", lock);
    std::string holder = ReadFile(lock).ok() ? *ReadFile(lock) : "";
    while (holder.ends_with('\n')) holder.pop_back();
    return Error(ErrorCode::kUnavailable, path.string() + " is open in process " +
                                              (holder.empty() ? "(unknown)" : holder) +
                                              ": wait for its end or end it");
  }
  if (::ftruncate(file.get(), 0) != 0) return SystemError("cannot write", lock);
  const std::string pid = std::to_string(::getpid()) + "\n";
  FEDMETA_RETURN_IF_ERROR(WriteAll(file.get(), AsBytes(pid), lock));
  return FileLock(std::move(file));
}

}  // namespace fedmeta
