#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "fedmeta/core/result.h"

namespace fedmeta {

/// Element types of the format that images and labels come in.
enum class IdxType : std::uint8_t { kUnsignedByte = 0x08, kInt16 = 0x0B };

/// One file of the IDX format: big-endian extents, then elements in row-major order as stored.
struct IdxFile {
  IdxType type = IdxType::kUnsignedByte;
  std::vector<std::uint32_t> extents;  ///< extents[0] records
  std::vector<std::uint8_t> bytes;
};

/// Reads a file with this many extents, plain or gzip. Errors call it `named`, which is not its own
/// name, and give neither bytes nor places of records: they leave the site. Refuses another
/// type, another number of extents, no records or empty ones, more bytes declared than the file
/// can hold (before allocating), truncation, damaged compression, bytes after the last record.
Result<IdxFile> ReadIdxFile(const std::filesystem::path& path, const std::string& named,
                            std::size_t extents);

/// The file's bytes, plain.
std::string EncodeIdx(const IdxFile& file);

}  // namespace fedmeta
