#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>

#include "fedmeta/core/result.h"

namespace fedmeta {

/// Bytes in order, once. Not thread-safe.
class ByteStream {
 public:
  virtual ~ByteStream() = default;
  /// At least one byte, or 0 at the end. The end is an error where what was read cannot be trusted:
  /// a file that changed meanwhile, a program that failed. Errors name no path and no content.
  virtual Result<std::size_t> Read(std::span<char> into) = 0;
};

/// A regular file. Its size and time of change must be at the end what they were at the beginning.
Result<std::unique_ptr<ByteStream>> OpenFileStream(const std::string& path);

/// Changes when the file is written or replaced; empty where there is none.
std::string StampOfFile(const std::string& path);

}  // namespace fedmeta
