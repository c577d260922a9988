#pragma once

#include <cstddef>
#include <filesystem>
#include <string>

#include "fedmeta/core/bytes.h"
#include "fedmeta/core/digest.h"
#include "fedmeta/core/result.h"

namespace fedmeta {

/// A ZIP archive in memory, as NumPy's savez writes it: members stored or deflated, ZIP64 where
/// they are large, not encrypted. Immutable, thread-safe.
class ZipFile {
 public:
  static Result<ZipFile> Read(const std::filesystem::path& path);
  /// The member's content, its length and checksum verified. Errors: kNotFound for a name that is
  /// not there, kInvalidArgument for a damaged archive.
  Result<Bytes> Member(const std::string& name) const;
  Digest fingerprint() const { return Digest::Of(content_); }

 private:
  explicit ZipFile(std::string content) : content_(std::move(content)) {}
  std::string content_;
};

}  // namespace fedmeta
