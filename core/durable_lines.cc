#include "fedmeta/core/durable_lines.h"

#include <fcntl.h>
#include <unistd.h>

#include "fedmeta/core/bytes.h"
#include "fedmeta/core/file.h"

namespace fedmeta {

Result<DurableLines::Opened> DurableLines::Open(const std::filesystem::path& path) {
  FileDescriptor file(::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  if (file.get() < 0) return SystemError("cannot open", path);
  FEDMETA_ASSIGN_OR_RETURN(std::string content, ReadFile(path));
  const std::size_t end = content.rfind('\n') + 1;
  if (end != content.size() && ::ftruncate(file.get(), static_cast<off_t>(end)) != 0)
    return SystemError("cannot cut a torn line from", path);
  if (::fsync(file.get()) != 0) return SystemError("cannot sync", path);
  FEDMETA_RETURN_IF_ERROR(SyncFolder(FolderOf(path)));
  content.resize(end);
  return Opened{.lines = DurableLines(path, std::move(file), static_cast<off_t>(end)),
                .content = std::move(content)};
}

Status DurableLines::Append(std::string_view line) {
  if (broken_) {
    return Error(ErrorCode::kInternal,
                 path_.string() +
                     " could not be written before: nothing goes on until this process is started "
                     "anew");
  }
  const Status written = WriteAll(file_.get(), AsBytes(line), path_);
  if (!written.ok()) {
    broken_ = ::ftruncate(file_.get(), end_) != 0;
    return written;
  }
  // After a failed sync nobody knows what is on the disk.
  broken_ = ::fdatasync(file_.get()) != 0;
  if (broken_) return SystemError("cannot sync", path_);
  end_ += static_cast<off_t>(line.size());
  return {};
}

}  // namespace fedmeta
