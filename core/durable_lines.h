#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <sys/types.h>
#include <utility>

#include "fedmeta/core/file_descriptor.h"
#include "fedmeta/core/result.h"

namespace fedmeta {

/// A file of lines that may not be lost: each is on disk when Append returns success, and a loss of
/// power takes nothing of it away. For its owner only; one writer; not thread-safe.
class DurableLines {
 public:
  struct Opened;
  /// Makes the file, or goes on with it. A torn last line is cut off: whoever wrote it got no
  /// success.
  static Result<Opened> Open(const std::filesystem::path& path);

  /// `line` ends with a line break. A failure leaves the file as it was; where nobody knows what is
  /// on the disk, nothing is written any more until it is opened anew.
  Status Append(std::string_view line);

 private:
  DurableLines(std::filesystem::path path, FileDescriptor file, off_t end)
      : path_(std::move(path)), file_(std::move(file)), end_(end) {}

  std::filesystem::path path_;
  FileDescriptor file_;
  off_t end_;
  bool broken_ = false;
};

struct DurableLines::Opened {
  DurableLines lines;
  std::string content;  ///< whole lines
};

}  // namespace fedmeta
