#pragma once

#include <optional>
#include <string>
#include <string_view>

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include "fedmeta/configs/yaml_tree.h"

namespace fedmeta {

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
