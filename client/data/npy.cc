#include "fedmeta/client/data/npy.h"

#include <charconv>
#include <cstring>
#include <limits>
#include <string_view>
#include <utility>

namespace fedmeta {
namespace {

Error Refuse(const std::string& why) { return {ErrorCode::kInvalidArgument, why}; }

/// What stands behind 'key': in the header, a Python dictionary as NumPy prints it.
std::string_view ValueOf(std::string_view header, std::string_view key) {
  const std::size_t at = header.find(key);
  if (at == std::string_view::npos) return {};
  std::string_view value = header.substr(at + key.size());
  while (!value.empty() && value.front() == ' ') value.remove_prefix(1);
  return value;
}

/// "(3, 4)", "(3,)"; nothing for anything else.
bool ParseShape(std::string_view text, std::vector<std::int64_t>& shape) {
  if (text.empty() || text.front() != '(') return false;
  text.remove_prefix(1);
  for (;;) {
    while (!text.empty() && (text.front() == ' ' || text.front() == ',')) text.remove_prefix(1);
    if (text.empty()) return false;
    if (text.front() == ')') return true;
    std::int64_t extent = 0;
    const auto parsed = std::from_chars(text.data(), text.data() + text.size(), extent);
    if (parsed.ec != std::errc() || extent < 0) return false;
    shape.push_back(extent);
    text.remove_prefix(static_cast<std::size_t>(parsed.ptr - text.data()));
  }
}

template <typename T>
double Load(const std::byte* from) {
  T value;
  std::memcpy(&value, from, sizeof(T));
  return static_cast<double>(value);
}

}  // namespace

Result<NpyArray> NpyArray::Parse(Bytes content) {
  constexpr std::string_view kMagic = "\x93NUMPY";
  const std::string_view text = AsText(content);
  if (!text.starts_with(kMagic) || text.size() < 12) return Refuse("is no NPY array");
  const auto version = static_cast<unsigned char>(text[6]);
  std::uint32_t length = 0;
  std::memcpy(&length, text.data() + 8, version == 1 ? 2 : 4);
  const std::size_t start = version == 1 ? 10 : 12;
  if ((version != 1 && version != 2) || length > text.size() - start) {
    return Refuse("is no NPY array of version 1.0 or 2.0");
  }
  const std::string_view header = text.substr(start, length);
  NpyArray array;
  array.first_ = start + length;
  const std::string_view type = ValueOf(header, "'descr':").substr(0, 5);
  if (type == "'<f4'" || type == "'<f8'" || type == "'<i4'" || type == "'<i8'" || type == "'|u1'") {
    array.type_ = type[2];
    array.width_ = static_cast<std::size_t>(type[3] - '0');
  } else {
    return Refuse("has another type than float32, float64, int32, int64 or uint8");
  }
  if (!ValueOf(header, "'fortran_order':").starts_with("False")) {
    return Refuse("is stored columns first; write it with numpy.ascontiguousarray");
  }
  if (!ParseShape(ValueOf(header, "'shape':"), array.shape_)) return Refuse("has no shape");
  const std::size_t bytes = content.size() - array.first_;
  std::size_t elements = 1;
  for (const std::int64_t extent : array.shape_) {
    const auto count = static_cast<std::size_t>(extent);
    if (count != 0 && elements > bytes / count) return Refuse("is shorter than its shape says");
    elements *= count;
  }
  if (elements * array.width_ != bytes) return Refuse("has another length than its shape says");
  array.content_ = std::move(content);
  return array;
}

std::size_t NpyArray::size() const { return (content_.size() - first_) / width_; }

double NpyArray::At(std::size_t index) const {
  const std::byte* from = content_.data() + first_ + index * width_;
  if (type_ == 'f') return width_ == 4 ? Load<float>(from) : Load<double>(from);
  if (type_ == 'u') return Load<std::uint8_t>(from);
  return width_ == 4 ? Load<std::int32_t>(from) : Load<std::int64_t>(from);
}

}  // namespace fedmeta
