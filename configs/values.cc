#include "fedmeta/configs/values.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <limits>
#include <vector>

#include <google/protobuf/duration.pb.h>

#include "fedmeta/configs/schema.h"
#include "fedmeta/core/check.h"
#include "fedmeta/core/text.h"

namespace fedmeta {
namespace {

using google::protobuf::Duration;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

struct Unit {
  std::string_view name;
  std::int64_t milliseconds;
};
constexpr std::array<Unit, 5> kUnits = {
    {{"d", 86'400'000}, {"h", 3'600'000}, {"m", 60'000}, {"s", 1'000}, {"ms", 1}}};
constexpr std::int64_t kLongestDurationMs = 3650 * kUnits[0].milliseconds;

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

/// Takes a run of digits without a leading zero off the front; empty if there is none.
std::string_view TakeWhole(std::string_view& text) {
  std::size_t length = 0;
  while (length < text.size() && IsDigit(text[length])) ++length;
  if (length > 1 && text[0] == '0') return {};
  const std::string_view taken = text.substr(0, length);
  text.remove_prefix(length);
  return taken;
}

bool IsWholeNumber(std::string_view text) {
  if (!text.empty() && text[0] == '-') text.remove_prefix(1);
  return !TakeWhole(text).empty() && text.empty();
}

/// -0.5, 3, 1e-8; neither 010 nor .5 nor inf.
bool IsDecimalNumber(std::string_view text) {
  if (!text.empty() && text[0] == '-') text.remove_prefix(1);
  if (TakeWhole(text).empty()) return false;
  const auto take_digits = [&text] {
    const std::size_t before = text.size();
    while (!text.empty() && IsDigit(text[0])) text.remove_prefix(1);
    return text.size() < before;
  };
  if (!text.empty() && text[0] == '.') {
    text.remove_prefix(1);
    if (!take_digits()) return false;
  }
  if (!text.empty() && (text[0] == 'e' || text[0] == 'E')) {
    text.remove_prefix(1);
    if (!text.empty() && (text[0] == '+' || text[0] == '-')) text.remove_prefix(1);
    if (!take_digits()) return false;
  }
  return text.empty();
}

/// "1h30m", "500ms", "2d": whole numbers with units, largest first, above 0 and at most ten years.
std::optional<Duration> ParseDuration(std::string_view text) {
  std::int64_t total = 0;
  auto unit = kUnits.begin();
  if (text.empty()) return std::nullopt;
  while (!text.empty()) {
    const std::string_view digits = TakeWhole(text);
    std::size_t letters = 0;
    while (letters < text.size() && !IsDigit(text[letters])) ++letters;
    const std::string_view name = text.substr(0, letters);
    text.remove_prefix(letters);
    while (unit != kUnits.end() && unit->name != name) ++unit;
    std::int64_t count = 0;
    if (digits.empty() || unit == kUnits.end() ||
        std::from_chars(digits.data(), digits.data() + digits.size(), count).ec != std::errc() ||
        count > (kLongestDurationMs - total) / unit->milliseconds) {
      return std::nullopt;
    }
    total += count * unit->milliseconds;
    ++unit;
  }
  if (total <= 0) return std::nullopt;
  Duration duration;
  duration.set_seconds(total / 1000);
  duration.set_nanos(static_cast<std::int32_t>(total % 1000) * 1'000'000);
  return duration;
}

/// The inverse, to the millisecond.
std::string FormatDuration(const Duration& duration) {
  std::int64_t rest = duration.seconds() * 1000 + duration.nanos() / 1'000'000;
  std::string text;
  for (const Unit& unit : kUnits) {
    if (const std::int64_t count = rest / unit.milliseconds; count > 0) {
      text += std::to_string(count) + std::string(unit.name);
      rest -= count * unit.milliseconds;
    }
  }
  return text.empty() ? "0s" : text;
}

std::string Got(const YamlNode& node) { return ", got " + node.Describe(); }

std::string OutOfBounds(const v1::Key& key, const YamlNode& node) {
  const std::string unit = key.unit().empty() ? "" : " " + key.unit();
  return "must be " + BoundsText(key) + unit + ", got " + node.scalar;
}

template <typename Integer>
std::optional<std::string> ReadWhole(const YamlNode& node, const v1::Key& key, Integer& value) {
  if (node.quoted || !IsWholeNumber(node.scalar)) {
    return "must be a whole number in decimal digits, such as 10" + Got(node);
  }
  const char* end = node.scalar.data() + node.scalar.size();
  const auto parsed = std::from_chars(node.scalar.data(), end, value);
  if (parsed.ec != std::errc() || parsed.ptr != end) {
    // The sign of an unsigned number, or more than the type holds: say the schema's bounds if they
    // refuse it too.
    const auto number = ParseNumber(node.scalar);
    if (number && !WithinBounds(key, *number)) return OutOfBounds(key, node);
    using Limits = std::numeric_limits<Integer>;
    return "must be >= " + std::to_string(Limits::min()) +
           " and <= " + std::to_string(Limits::max()) + ", got " + node.scalar;
  }
  if (!WithinBounds(key, static_cast<double>(value))) return OutOfBounds(key, node);
  return std::nullopt;
}

std::optional<std::string> ReadNumber(const YamlNode& node, const v1::Key& key, double& value) {
  if (node.quoted || !IsDecimalNumber(node.scalar)) {
    return "must be a finite number, such as 0.05 or 1e-3" + Got(node);
  }
  const auto parsed = ParseNumber(node.scalar);
  if (!parsed) return "must be within the range of a double, 5e-324 to 1.8e308" + Got(node);
  value = *parsed;
  if (!WithinBounds(key, value)) return OutOfBounds(key, node);
  return std::nullopt;
}

std::optional<std::string> CheckText(const YamlNode& node, const v1::Key& key) {
  const std::vector<std::string> choices(key.choices().begin(), key.choices().end());
  if (choices.empty()) {
    if (node.scalar.empty() && !key.may_be_empty()) return "must not be empty";
    return std::nullopt;
  }
  if (std::find(choices.begin(), choices.end(), node.scalar) != choices.end()) return std::nullopt;
  const auto nearest = NearestName(node.scalar, choices);
  return "must be one of " + Join(choices, ", ") + Got(node) +
         (nearest ? "; did you mean '" + *nearest + "'?" : "");
}

std::optional<std::string> ReadDuration(const YamlNode& node, const FieldDescriptor& field,
                                        Message& message) {
  const auto duration = ParseDuration(node.scalar);
  if (node.quoted || !duration) {
    return "must be a duration with units d, h, m, s, ms, above 0 and at most 3650d, such as 90s "
           "or "
           "1h30m" +
           Got(node);
  }
  const auto* reflection = message.GetReflection();
  Message* target = field.is_repeated() ? reflection->AddMessage(&message, &field)
                                        : reflection->MutableMessage(&message, &field);
  target->CopyFrom(*duration);
  return std::nullopt;
}

/// Runs `read` on a value of the type and stores it.
template <typename Value, typename Read>
std::optional<std::string> Store(
    Message& message, const FieldDescriptor& field, Read read,
    void (google::protobuf::Reflection::*set)(Message*, const FieldDescriptor*, Value) const,
    void (google::protobuf::Reflection::*add)(Message*, const FieldDescriptor*, Value) const) {
  Value value{};
  if (auto refused = read(value)) return refused;
  const auto store = field.is_repeated() ? add : set;
  (message.GetReflection()->*store)(&message, &field, value);
  return std::nullopt;
}

}  // namespace

std::optional<std::string> ReadValue(const YamlNode& node, const FieldDescriptor& field,
                                     Message& message) {
  using google::protobuf::Reflection;
  const v1::Key& key = KeyOf(field);
  if (!node.IsScalar()) return "must be one " + TypeText(field) + Got(node);
  if (IsDuration(field)) return ReadDuration(node, field, message);
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_BOOL:
      if (node.quoted || (node.scalar != "true" && node.scalar != "false")) {
        return "must be true or false" + Got(node);
      }
      return Store<bool>(
          message, field,
          [&](bool& value) {
            value = node.scalar == "true";
            return std::optional<std::string>();
          },
          &Reflection::SetBool, &Reflection::AddBool);
    case FieldDescriptor::CPPTYPE_UINT32:
      return Store<std::uint32_t>(
          message, field, [&](auto& value) { return ReadWhole(node, key, value); },
          &Reflection::SetUInt32, &Reflection::AddUInt32);
    case FieldDescriptor::CPPTYPE_UINT64:
      return Store<std::uint64_t>(
          message, field, [&](auto& value) { return ReadWhole(node, key, value); },
          &Reflection::SetUInt64, &Reflection::AddUInt64);
    case FieldDescriptor::CPPTYPE_INT64:
      return Store<std::int64_t>(
          message, field, [&](auto& value) { return ReadWhole(node, key, value); },
          &Reflection::SetInt64, &Reflection::AddInt64);
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return Store<double>(
          message, field, [&](auto& value) { return ReadNumber(node, key, value); },
          &Reflection::SetDouble, &Reflection::AddDouble);
    case FieldDescriptor::CPPTYPE_STRING:
      return Store<std::string>(
          message, field,
          [&](std::string& value) {
            value = node.scalar;
            return CheckText(node, key);
          },
          &Reflection::SetString, &Reflection::AddString);
    default:
      FEDMETA_CHECK(!"the schema has no keys of this type");
  }
  return std::nullopt;
}

std::string PrintValue(const Message& message, const FieldDescriptor& field,
                       std::optional<int> index) {
  const auto* r = message.GetReflection();
  if (IsDuration(field)) {
    const Message& value =
        index ? r->GetRepeatedMessage(message, &field, *index) : r->GetMessage(message, &field);
    return FormatDuration(static_cast<const Duration&>(value));
  }
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_BOOL:
      return (index ? r->GetRepeatedBool(message, &field, *index) : r->GetBool(message, &field))
                 ? "true"
                 : "false";
    case FieldDescriptor::CPPTYPE_UINT32:
      return std::to_string(index ? r->GetRepeatedUInt32(message, &field, *index)
                                  : r->GetUInt32(message, &field));
    case FieldDescriptor::CPPTYPE_UINT64:
      return std::to_string(index ? r->GetRepeatedUInt64(message, &field, *index)
                                  : r->GetUInt64(message, &field));
    case FieldDescriptor::CPPTYPE_INT64:
      return std::to_string(index ? r->GetRepeatedInt64(message, &field, *index)
                                  : r->GetInt64(message, &field));
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return FormatNumber(index ? r->GetRepeatedDouble(message, &field, *index)
                                : r->GetDouble(message, &field));
    case FieldDescriptor::CPPTYPE_STRING:
      return PrintText(index ? r->GetRepeatedString(message, &field, *index)
                             : r->GetString(message, &field));
    default:
      FEDMETA_CHECK(!"the schema has no keys of this type");
  }
  return {};
}

std::string PrintText(std::string_view text) {
  const auto plain = [](char c) {
    return IsDigit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '/' ||
           c == '.' || c == '-' || c == '+' || c == '@' || c == ' ' || c == ':';
  };
  // Words and numbers that some YAML reader takes for a value that is not text.
  constexpr std::array<std::string_view, 10> kWords = {"true", "false", "yes", "no", "on",
                                                       "off",  "null",  "y",   "n",  "~"};
  std::string lower(text);
  for (char& c : lower) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  const bool starts_like_text =
      !text.empty() && (text[0] == '/' || text[0] == '_' || (lower[0] >= 'a' && lower[0] <= 'z'));
  if (starts_like_text && text.back() != ' ' && text.back() != ':' &&
      text.find(": ") == std::string_view::npos && std::all_of(text.begin(), text.end(), plain) &&
      std::find(kWords.begin(), kWords.end(), lower) == kWords.end()) {
    return std::string(text);
  }
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      quoted += {'\\', c};
    } else if (c == '\n') {
      quoted += "\\n";
    } else if (c == '\t') {
      quoted += "\\t";
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      constexpr std::string_view kHex = "0123456789abcdef";
      const auto byte = static_cast<unsigned char>(c);
      quoted += {'\\', 'x', kHex[byte >> 4], kHex[byte & 15]};
    } else {
      quoted += c;
    }
  }
  return quoted + "\"";
}

}  // namespace fedmeta
