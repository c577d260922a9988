#include "fedmeta/client/data/idx_file.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <limits>
#include <span>
#include <system_error>

#include "fedmeta/client/data/gzip_stream.h"

namespace fedmeta {
namespace {

// Deflate cannot expand by more than this (zlib's technical notes).
constexpr std::uint64_t kLargestExpansion = 1032;

std::uint32_t BigEndian(std::span<const std::uint8_t> bytes) {
  return (std::uint32_t{bytes[0]} << 24) | (std::uint32_t{bytes[1]} << 16) |
         (std::uint32_t{bytes[2]} << 8) | std::uint32_t{bytes[3]};
}

std::size_t ElementSize(IdxType type) { return type == IdxType::kInt16 ? 2 : 1; }

Error Refuse(const std::string& named, const std::string& why) {
  return {ErrorCode::kInvalidArgument, named + ": " + why};
}

Result<std::uint64_t> DeclaredBytes(const std::string& named, const IdxFile& file) {
  std::uint64_t bytes = ElementSize(file.type);
  for (const std::uint32_t extent : file.extents) {
    if (extent == 0) return Refuse(named, "the header declares no examples or empty ones");
    if (bytes > std::numeric_limits<std::uint64_t>::max() / extent) {
      return Refuse(named, "the header declares more bytes than can be counted");
    }
    bytes *= extent;
  }
  return bytes;
}

}  // namespace

Result<IdxFile> ReadIdxFile(const std::filesystem::path& path, const std::string& named,
                            std::size_t extents) {
  std::error_code failure;
  const std::uint64_t file_size = std::filesystem::file_size(path, failure);
  if (failure) return Error(ErrorCode::kNotFound, named + ": " + failure.message());
  GzipStream stream(path);
  if (!stream.is_open()) return Error(ErrorCode::kNotFound, named + ": cannot be opened");

  std::vector<std::uint8_t> header(4 + 4 * extents);
  const bool whole_header = stream.Read(header) == header.size();
  if (stream.damaged()) return Refuse(named, "damaged or truncated compression");
  if (!whole_header) {
    return Refuse(named, "ends within the header of " + std::to_string(header.size()) + " bytes");
  }
  IdxFile file;
  file.type = static_cast<IdxType>(header[2]);
  if (header[0] != 0 || header[1] != 0 || header[3] != extents ||
      (file.type != IdxType::kUnsignedByte && file.type != IdxType::kInt16)) {
    return Refuse(named, "is no IDX file of " + std::to_string(extents) +
                             " extents with unsigned bytes or int16: another magic");
  }
  for (std::size_t i = 0; i < extents; ++i) {
    file.extents.push_back(BigEndian(std::span(header).subspan(4 + 4 * i, 4)));
  }
  FEDMETA_ASSIGN_OR_RETURN(const std::uint64_t bytes, DeclaredBytes(named, file));
  const std::uint64_t records = file.extents[0];
  const std::uint64_t record_bytes = bytes / records;
  const std::uint64_t most = stream.is_plain() ? file_size : file_size * kLargestExpansion;
  if (bytes > most) {
    return Refuse(named, "truncated: the header declares " + std::to_string(records) +
                             " records of " + std::to_string(record_bytes) +
                             " bytes, more than the file can hold");
  }
  file.bytes.resize(bytes);
  const std::size_t got = stream.Read(file.bytes);
  if (got < bytes || stream.damaged()) {
    return Refuse(named,
                  std::string(stream.damaged() ? "damaged or truncated compression" : "truncated") +
                      ": the header declares " + std::to_string(records) + " records");
  }
  std::array<std::uint8_t, 1> beyond{};
  if (stream.Read(beyond) != 0) {
    return Refuse(named, "bytes follow the last of " + std::to_string(records) + " records");
  }
  if (stream.damaged()) return Refuse(named, "damaged compression: checksum or end is wrong");
  return file;
}

std::string EncodeIdx(const IdxFile& file) {
  std::string text;
  text.reserve(4 + 4 * file.extents.size() + file.bytes.size());
  const auto append = [&text](unsigned value) { text.push_back(static_cast<char>(value & 0xffU)); };
  append(0);
  append(0);
  append(static_cast<unsigned>(file.type));
  append(static_cast<unsigned>(file.extents.size()));
  for (const std::uint32_t extent : file.extents) {
    append(extent >> 24);
    append(extent >> 16);
    append(extent >> 8);
    append(extent);
  }
  text.append(reinterpret_cast<const char*>(file.bytes.data()), file.bytes.size());
  return text;
}

}  // namespace fedmeta
