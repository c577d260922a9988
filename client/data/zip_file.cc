#include "fedmeta/client/data/zip_file.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <limits>
#include <optional>
#include <string_view>
#include <utility>

#include <zlib.h>

#include "fedmeta/core/file.h"

namespace fedmeta {
namespace {

// Signatures and field offsets of the ZIP specification (APPNOTE 6.3).
constexpr std::uint32_t kLocalHeader = 0x04034b50;
constexpr std::uint32_t kDirectoryEntry = 0x02014b50;
constexpr std::uint32_t kDirectoryEnd = 0x06054b50;
constexpr std::uint32_t kDirectoryEnd64 = 0x06064b50;
constexpr std::size_t kLocalHeaderBytes = 30;
constexpr std::size_t kDirectoryEntryBytes = 46;
constexpr std::size_t kDirectoryEndBytes = 22;
constexpr std::size_t kLocator64Bytes = 20;
constexpr std::size_t kLongestComment = 65535;
constexpr std::uint32_t kIn64 = std::numeric_limits<std::uint32_t>::max();

Error Damaged() { return {ErrorCode::kInvalidArgument, "the file is no whole ZIP archive"}; }

/// Little-endian numbers of a text, nothing behind its end.
class Reader {
 public:
  explicit Reader(std::string_view text) : text_(text) {}
  bool Has(std::size_t at, std::size_t bytes) const {
    return at <= text_.size() && bytes <= text_.size() - at;
  }
  template <typename T>
  T Get(std::size_t at) const {
    T value = 0;
    if (Has(at, sizeof(T))) std::memcpy(&value, text_.data() + at, sizeof(T));
    return value;
  }
  std::string_view Text(std::size_t at, std::size_t bytes) const {
    return Has(at, bytes) ? text_.substr(at, bytes) : std::string_view();
  }
  std::size_t size() const { return text_.size(); }

 private:
  std::string_view text_;
};

struct Directory {
  std::uint64_t entries = 0;
  std::uint64_t at = 0;
};

Result<Directory> FindDirectory(const Reader& file) {
  if (file.size() < kDirectoryEndBytes) return Damaged();
  std::size_t at = file.size() - kDirectoryEndBytes;
  const std::size_t least = at > kLongestComment ? at - kLongestComment : 0;
  while (file.Get<std::uint32_t>(at) != kDirectoryEnd) {
    if (at-- == least) return Damaged();
  }
  Directory directory{.entries = file.Get<std::uint16_t>(at + 10),
                      .at = file.Get<std::uint32_t>(at + 16)};
  if (directory.at == kIn64 && at >= kLocator64Bytes) {
    const auto end64 = file.Get<std::uint64_t>(at - kLocator64Bytes + 8);
    if (!file.Has(end64, 56) || file.Get<std::uint32_t>(end64) != kDirectoryEnd64) return Damaged();
    directory.entries = file.Get<std::uint64_t>(end64 + 32);
    directory.at = file.Get<std::uint64_t>(end64 + 48);
  }
  return directory;
}

struct Entry {
  std::uint16_t method = 0;
  std::uint32_t checksum = 0;
  std::uint64_t packed = 0;
  std::uint64_t size = 0;
  std::uint64_t at = 0;
};

/// Sizes that do not fit 32 bits stand in the extra field, those that need it in a fixed order.
void ReadSizes64(const Reader& extra, Entry& entry) {
  for (std::size_t at = 0; extra.Has(at, 4);) {
    const auto length = extra.Get<std::uint16_t>(at + 2);
    if (extra.Get<std::uint16_t>(at) == 1) {
      std::size_t field = at + 4;
      for (std::uint64_t* value : {&entry.size, &entry.packed, &entry.at}) {
        if (*value != kIn64) continue;
        *value = extra.Get<std::uint64_t>(field);
        field += 8;
      }
      return;
    }
    at += std::size_t{4} + length;
  }
}

Result<std::optional<Entry>> FindEntry(const Reader& file, const std::string& name) {
  FEDMETA_ASSIGN_OR_RETURN(const Directory directory, FindDirectory(file));
  std::uint64_t at = directory.at;
  for (std::uint64_t i = 0; i < directory.entries; ++i) {
    if (!file.Has(at, kDirectoryEntryBytes) || file.Get<std::uint32_t>(at) != kDirectoryEntry) {
      return Damaged();
    }
    const auto name_bytes = file.Get<std::uint16_t>(at + 28);
    const auto extra_bytes = file.Get<std::uint16_t>(at + 30);
    if (file.Text(at + kDirectoryEntryBytes, name_bytes) == name) {
      Entry entry{.method = file.Get<std::uint16_t>(at + 10),
                  .checksum = file.Get<std::uint32_t>(at + 16),
                  .packed = file.Get<std::uint32_t>(at + 20),
                  .size = file.Get<std::uint32_t>(at + 24),
                  .at = file.Get<std::uint32_t>(at + 42)};
      if ((file.Get<std::uint16_t>(at + 8) & 1U) != 0) return Damaged();  // encrypted
      ReadSizes64(Reader(file.Text(at + kDirectoryEntryBytes + name_bytes, extra_bytes)), entry);
      return std::optional(entry);
    }
    at += kDirectoryEntryBytes + name_bytes + extra_bytes + file.Get<std::uint16_t>(at + 32);
  }
  return std::optional<Entry>();
}

/// False unless the raw deflate stream gives exactly `content.size()` bytes.
bool Inflate(std::string_view packed, Bytes& content) {
  z_stream stream{};
  if (::inflateInit2(&stream, -MAX_WBITS) != Z_OK) return false;
  constexpr std::size_t kPiece = std::size_t{1} << 30;
  std::size_t in = 0;
  std::size_t out = 0;
  int code = Z_OK;
  while (code == Z_OK) {
    if (stream.avail_in == 0) {
      stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(packed.data() + in));
      stream.avail_in = static_cast<uInt>(std::min(kPiece, packed.size() - in));
      in += stream.avail_in;
    }
    if (stream.avail_out == 0) {
      stream.next_out = reinterpret_cast<Bytef*>(content.data() + out);
      stream.avail_out = static_cast<uInt>(std::min(kPiece, content.size() - out));
      out += stream.avail_out;
    }
    code = ::inflate(&stream, Z_NO_FLUSH);
  }
  const bool whole = code == Z_STREAM_END && out == content.size() && stream.avail_out == 0;
  ::inflateEnd(&stream);
  return whole;
}

std::uint32_t Checksum(const Bytes& content) {
  uLong checksum = ::crc32_z(0, nullptr, 0);
  checksum = ::crc32_z(checksum, reinterpret_cast<const Bytef*>(content.data()), content.size());
  return static_cast<std::uint32_t>(checksum);
}

}  // namespace

Result<ZipFile> ZipFile::Read(const std::filesystem::path& path) {
  Result<std::string> content = ReadFile(path);
  // Without the path: this text may leave the site.
  if (!content.ok()) return Error(content.error().code(), "cannot read the file");
  return ZipFile(std::move(*content));
}

Result<Bytes> ZipFile::Member(const std::string& name) const {
  const Reader file(content_);
  FEDMETA_ASSIGN_OR_RETURN(const std::optional<Entry> entry, FindEntry(file, name));
  if (!entry) return Error(ErrorCode::kNotFound, "the archive has no member '" + name + "'");
  if (!file.Has(entry->at, kLocalHeaderBytes) ||
      file.Get<std::uint32_t>(entry->at) != kLocalHeader) {
    return Damaged();
  }
  const std::size_t from = entry->at + kLocalHeaderBytes + file.Get<std::uint16_t>(entry->at + 26) +
                           file.Get<std::uint16_t>(entry->at + 28);
  if (!file.Has(from, entry->packed)) return Damaged();
  const std::string_view packed = file.Text(from, entry->packed);
  // Deflate packs at most about a thousandfold: a larger claim would only ask for memory.
  constexpr std::uint64_t kMostPacked = 1100;
  if (entry->size / kMostPacked > entry->packed) return Damaged();
  Bytes content(entry->size);
  if (entry->method == 0) {
    if (packed.size() != content.size()) return Damaged();
    if (!content.empty()) std::memcpy(content.data(), packed.data(), packed.size());
  } else if (entry->method != Z_DEFLATED || !Inflate(packed, content)) {
    return Damaged();
  }
  if (Checksum(content) != entry->checksum) return Damaged();
  return content;
}

}  // namespace fedmeta
