#include "fedmeta/client/data/byte_stream.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

#include "fedmeta/core/file_descriptor.h"

namespace fedmeta {
namespace {

Error CannotRead(int code) {
  return {code == ENOENT ? ErrorCode::kNotFound : ErrorCode::kInternal,
          std::string("cannot read the file: ") + std::strerror(code)};
}

std::string StampOf(const struct stat& status) {
  return std::to_string(status.st_dev) + ":" + std::to_string(status.st_ino) + ":" +
         std::to_string(status.st_size) + ":" + std::to_string(status.st_mtim.tv_sec) + "." +
         std::to_string(status.st_mtim.tv_nsec);
}

class FileStream final : public ByteStream {
 public:
  FileStream(FileDescriptor file, std::string path, std::string stamp)
      : file_(std::move(file)), path_(std::move(path)), stamp_(std::move(stamp)) {}

  Result<std::size_t> Read(std::span<char> into) override {
    for (;;) {
      const ssize_t got = ::read(file_.get(), into.data(), into.size());
      if (got > 0) return static_cast<std::size_t>(got);
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return CannotRead(errno);
      if (StampOfFile(path_) == stamp_) return std::size_t{0};
      return Error(ErrorCode::kFailedPrecondition,
                   "the file was changed while it was read: start again when it is complete");
    }
  }

 private:
  FileDescriptor file_;
  std::string path_;
  std::string stamp_;
};

}  // namespace

Result<std::unique_ptr<ByteStream>> OpenFileStream(const std::string& path) {
  FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.get() < 0) return CannotRead(errno);
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) return CannotRead(errno);
  if (!S_ISREG(status.st_mode)) {
    return Error(ErrorCode::kInvalidArgument, "the path is no regular file; use source command");
  }
  return std::unique_ptr<ByteStream>(
      std::make_unique<FileStream>(std::move(file), path, StampOf(status)));
}

std::string StampOfFile(const std::string& path) {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0 ? StampOf(status) : std::string();
}

}  // namespace fedmeta
