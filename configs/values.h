#pragma once

#include <optional>
#include <string>
#include <string_view>

#include <google/protobuf/descriptor.h>
#include <google/protobuf/duration.pb.h>
#include <google/protobuf/message.h>

#include "fedmeta/configs/yaml_tree.h"

namespace fedmeta {

/// "1h30m", "500ms", "2d": whole numbers with units d, h, m, s, ms, largest first, above 0 and at
/// most ten years.
std::optional<google::protobuf::Duration> ParseDuration(std::string_view text);
/// The inverse, to the millisecond: "1h30m".
std::string FormatDurationKey(const google::protobuf::Duration& duration);

/// Sets the field (appends to a repeated one) from one YAML scalar. Returns why not, to stand
/// behind the field's path: "must be > 0, got -0.1". Types, strict syntax, bounds and choices are
/// checked; paths are not resolved.
std::optional<std::string> ReadValue(const YamlNode& node,
                                     const google::protobuf::FieldDescriptor& field,
                                     google::protobuf::Message& message);

/// One value as YAML text that ReadValue reads back as the same; `index` is of a repeated field.
std::string PrintValue(const google::protobuf::Message& message,
                       const google::protobuf::FieldDescriptor& field,
                       std::optional<int> index = std::nullopt);
/// Quoted only when a YAML reader would take the bare text for something else.
std::string PrintText(std::string_view text);

}  // namespace fedmeta
