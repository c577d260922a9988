#include "fedmeta/core/durable_append.h"

#include <fcntl.h>
#include <unistd.h>

#include "fedmeta/core/file.h"
#include "fedmeta/core/file_descriptor.h"

namespace fedmeta {

Status AppendDurably(const std::filesystem::path& path, std::string_view content) {
  const bool made = !std::filesystem::exists(path);
  const FileDescriptor file(::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
  if (file.get() < 0) return SystemError("cannot open", path);
  FEDMETA_RETURN_IF_ERROR(AppendFile(path, content));
  if (::fdatasync(file.get()) != 0) return SystemError("cannot sync", path);
  return made ? SyncFolder(FolderOf(path)) : Status();
}

}  // namespace fedmeta
