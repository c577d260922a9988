#include "fedmeta/records/safetensors.h"

#include <algorithm>
#include <cstring>
#include <fstream>
#include <set>

#include <nlohmann/json.hpp>

#include "fedmeta/core/file.h"
#include "fedmeta/core/state_layout.h"

namespace fedmeta {
namespace {

using nlohmann::json;

constexpr std::size_t kLengthBytes = 8;
/// Far beyond any model; bounds what a hostile header can make the JSON parser allocate.
constexpr std::uint64_t kMaximumHeader = 16u << 20;
constexpr std::size_t kMaximumRank = 16;
constexpr char kMetadataKey[] = "__metadata__";

/// What the header says of one tensor, checked.
struct Entry {
  std::string name;
  std::vector<std::int64_t> shape;
  std::uint64_t begin = 0, end = 0;  // within the data, in bytes
};
struct Header {
  std::map<std::string, std::string> metadata;
  std::vector<Entry> entries;  // in the order of the data, which they cover without gap or overlap
};

Error Bad(const std::string& what) {
  return {ErrorCode::kInvalidArgument, "not a valid safetensors file: " + what};
}

/// Names come from outside: shortened and printable.
std::string Quoted(const std::string& name) {
  std::string text = name.substr(0, 80);
  std::replace_if(
      text.begin(), text.end(), [](unsigned char c) { return c < 0x20 || c == 0x7f; }, '?');
  return "'" + text + "'";
}

Result<std::uint64_t> HeaderLength(const std::byte* first, std::uint64_t file_size) {
  std::uint64_t length = 0;
  std::memcpy(&length, first, kLengthBytes);
  if (length > kMaximumHeader)
    return Bad("header length is " + std::to_string(length) + " bytes, at most " +
               std::to_string(kMaximumHeader) + " are read");
  if (length > file_size - kLengthBytes)
    return Bad("header length is " + std::to_string(length) + " bytes, but only " +
               std::to_string(file_size - kLengthBytes) + " follow");
  return length;
}

/// The JSON parser keeps the last of two equal keys; here they are refused.
Result<json> ParseJson(std::string_view text) {
  std::vector<std::set<std::string>> open;
  std::string repeated;
  const auto watch = [&](int, json::parse_event_t event, json& parsed) {
    if (event == json::parse_event_t::object_start) open.emplace_back();
    if (event == json::parse_event_t::object_end) open.pop_back();
    if (event == json::parse_event_t::key && !open.back().insert(parsed.get<std::string>()).second)
      repeated = parsed.get<std::string>();
    return true;
  };
  json header = json::parse(text.begin(), text.end(), watch, /*allow_exceptions=*/false);
  if (header.is_discarded() || !header.is_object()) return Bad("the header is not a JSON object");
  if (!repeated.empty()) return Bad("the header names " + Quoted(repeated) + " twice");
  return header;
}

Result<Entry> ParseEntry(const std::string& name, const json& value, std::uint64_t data_size) {
  const auto wrong = [&](const std::string& what) {
    return Bad("tensor " + Quoted(name) + ": " + what);
  };
  if (!value.is_object()) return wrong("not an object");
  for (const auto& [key, unused] : value.items())
    if (key != "dtype" && key != "shape" && key != "data_offsets")
      return wrong("unknown key " + Quoted(key));
  const auto dtype = value.find("dtype");
  if (dtype == value.end() || !dtype->is_string()) return wrong("no dtype");
  if (*dtype != "F32")
    return wrong("dtype " + Quoted(dtype->get<std::string>()) + ", only F32 is read");

  Entry entry{name, {}, 0, 0};
  const auto shape = value.find("shape");
  if (shape == value.end() || !shape->is_array()) return wrong("no shape");
  if (shape->size() > kMaximumRank)
    return wrong(std::to_string(shape->size()) + " dimensions, at most " +
                 std::to_string(kMaximumRank));
  for (const json& extent : *shape) {
    if (!extent.is_number_unsigned()) return wrong("shape holds something that is not a count");
    if (extent.get<std::uint64_t>() > std::uint64_t{1} << 40) return wrong("an extent beyond 2^40");
    entry.shape.push_back(extent.get<std::int64_t>());
  }
  const Result<std::size_t> count = ElementCount(entry.shape);
  if (!count.ok()) return wrong(count.error().message());

  const auto offsets = value.find("data_offsets");
  if (offsets == value.end() || !offsets->is_array() || offsets->size() != 2 ||
      !(*offsets)[0].is_number_unsigned() || !(*offsets)[1].is_number_unsigned())
    return wrong("data_offsets must be two counts");
  entry.begin = (*offsets)[0].get<std::uint64_t>();
  entry.end = (*offsets)[1].get<std::uint64_t>();
  if (entry.begin > entry.end || entry.end > data_size)
    return wrong("data_offsets " + std::to_string(entry.begin) + ", " + std::to_string(entry.end) +
                 " in " + std::to_string(data_size) + " bytes of data");
  if (entry.end - entry.begin != *count * sizeof(float))
    return wrong(std::to_string(entry.end - entry.begin) + " bytes of data for a shape of " +
                 std::to_string(*count) + " values");
  return entry;
}

Result<Header> ParseHeader(std::string_view text, std::uint64_t data_size) {
  if (text.empty() || text.front() != '{') return Bad("the header does not start with '{'");
  FEDMETA_ASSIGN_OR_RETURN(const json parsed, ParseJson(text));
  Header header;
  for (const auto& [name, value] : parsed.items()) {
    if (name == kMetadataKey) {
      if (!value.is_object()) return Bad("__metadata__ is not an object");
      for (const auto& [key, entry] : value.items()) {
        if (!entry.is_string()) return Bad("metadata " + Quoted(key) + " is not a string");
        header.metadata.emplace(key, entry.get<std::string>());
      }
      continue;
    }
    FEDMETA_ASSIGN_OR_RETURN(Entry entry, ParseEntry(name, value, data_size));
    header.entries.push_back(std::move(entry));
  }
  std::sort(header.entries.begin(), header.entries.end(), [](const Entry& a, const Entry& b) {
    return std::tie(a.begin, a.end, a.name) < std::tie(b.begin, b.end, b.name);
  });
  std::uint64_t covered = 0;
  for (const Entry& entry : header.entries) {
    if (entry.begin != covered)
      return Bad("tensor " + Quoted(entry.name) + " begins at byte " + std::to_string(entry.begin) +
                 " of the data, the one before ends at " + std::to_string(covered));
    covered = entry.end;
  }
  if (covered != data_size)
    return Bad("the tensors end at byte " + std::to_string(covered) + ", the data at " +
               std::to_string(data_size));
  return header;
}

Result<std::string> HeaderText(const SafeTensors& content) {
  std::string text = "{";
  std::set<std::string_view> names;
  std::uint64_t offset = 0;
  try {  // json throws on text that is not UTF-8
    if (!content.metadata.empty())
      text += json(kMetadataKey).dump() + ":" + json(content.metadata).dump();
    for (const NamedTensor& tensor : content.tensors) {
      if (tensor.name == kMetadataKey || !names.insert(tensor.name).second)
        return Error(ErrorCode::kInvalidArgument,
                     "two tensors named " + Quoted(tensor.name) + ", or a reserved name");
      FEDMETA_ASSIGN_OR_RETURN(const std::size_t count, ElementCount(tensor.shape));
      if (count != tensor.values.size())
        return Error(ErrorCode::kInvalidArgument, "tensor " + Quoted(tensor.name) + " has " +
                                                      std::to_string(tensor.values.size()) +
                                                      " values for a shape of " +
                                                      std::to_string(count));
      const std::uint64_t end = offset + count * sizeof(float);
      const json shape = tensor.shape;
      const json offsets = {offset, end};
      if (text.size() > 1) text += ",";
      text += json(tensor.name).dump() + ":{\"dtype\":\"F32\",\"shape\":" + shape.dump() +
              ",\"data_offsets\":" + offsets.dump() + "}";
      offset = end;
    }
  } catch (const json::exception&) {
    return Error(ErrorCode::kInvalidArgument, "a tensor name or metadata is not UTF-8");
  }
  text += "}";
  text.resize((text.size() + 7) / 8 * 8, ' ');  // the data begins 8-byte aligned
  return text;
}

}  // namespace

const NamedTensor* SafeTensors::Find(std::string_view name) const {
  const auto found = std::find_if(tensors.begin(), tensors.end(),
                                  [&](const NamedTensor& tensor) { return tensor.name == name; });
  return found == tensors.end() ? nullptr : &*found;
}

Status WriteSafeTensors(const std::filesystem::path& path, const SafeTensors& content) {
  Result<std::string> header = HeaderText(content);
  if (!header.ok()) return header.error().WithContext(path.string());
  const std::uint64_t length = header->size();
  std::string file(reinterpret_cast<const char*>(&length), kLengthBytes);
  file += *header;
  for (const NamedTensor& tensor : content.tensors)
    file += AsText(AsBytes(std::span<const float>(tensor.values)));
  return WriteFileAtomically(path, file);
}

Result<SafeTensors> ParseSafeTensors(std::span<const std::byte> bytes) {
  if (bytes.size() < kLengthBytes) return Bad(std::to_string(bytes.size()) + " bytes are too few");
  FEDMETA_ASSIGN_OR_RETURN(const std::uint64_t length, HeaderLength(bytes.data(), bytes.size()));
  const std::span<const std::byte> data = bytes.subspan(kLengthBytes + length);
  FEDMETA_ASSIGN_OR_RETURN(Header header,
                           ParseHeader(AsText(bytes.subspan(kLengthBytes, length)), data.size()));
  SafeTensors content{std::move(header.metadata), {}};
  for (Entry& entry : header.entries) {
    NamedTensor tensor{std::move(entry.name), std::move(entry.shape), {}};
    tensor.values.resize((entry.end - entry.begin) / sizeof(float));
    if (!tensor.values.empty())
      std::memcpy(tensor.values.data(), data.data() + entry.begin, entry.end - entry.begin);
    content.tensors.push_back(std::move(tensor));
  }
  return content;
}

Result<SafeTensors> ReadSafeTensors(const std::filesystem::path& path) {
  // A device or a pipe has no size to check the header against.
  std::error_code error;
  if (std::filesystem::exists(path, error) && !std::filesystem::is_regular_file(path, error))
    return Error(ErrorCode::kInvalidArgument, path.string() + ": not a regular file");
  FEDMETA_ASSIGN_OR_RETURN(const std::string file, ReadFile(path));
  Result<SafeTensors> content = ParseSafeTensors(AsBytes(file));
  if (!content.ok()) return content.error().WithContext(path.string());
  return content;
}

}  // namespace fedmeta
