#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>

struct gzFile_s;  // zlib's

namespace fedmeta {

/// Reads a gzip file and, as it stands, any other. Not thread-safe.
class GzipStream {
 public:
  explicit GzipStream(const std::filesystem::path& path);
  ~GzipStream();
  GzipStream(const GzipStream&) = delete;
  GzipStream& operator=(const GzipStream&) = delete;

  bool is_open() const { return file_ != nullptr; }
  bool is_plain();
  /// What was read so far cannot be trusted: the compression is broken or cut off.
  bool damaged() const { return damaged_; }
  /// Bytes read; fewer than asked for at the end or at damage.
  std::size_t Read(std::span<std::uint8_t> into);

 private:
  gzFile_s* file_;
  bool damaged_ = false;
};

}  // namespace fedmeta
