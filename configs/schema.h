#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <google/protobuf/any.pb.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include "fedmeta/configs/plugin_tables.h"
#include "fedmeta/v1/options.pb.h"

namespace fedmeta {

// How the configuration schema is read: what kind of value a field holds, and its documentation and
// bounds.

const v1::Key& KeyOf(const google::protobuf::FieldDescriptor& field);
const v1::Summary& SummaryOf(const google::protobuf::Descriptor& message);

bool IsDuration(const google::protobuf::FieldDescriptor& field);
/// A message of `name`, `settings` (Any) and perhaps keys of its own; flat in YAML.
bool IsPlugin(const google::protobuf::FieldDescriptor& field);
/// A block of keys: a message that is no duration, no plug-in and no map.
bool IsBlock(const google::protobuf::FieldDescriptor& field);
/// A number, text, truth value or duration; also as a list of them.
bool IsValue(const google::protobuf::FieldDescriptor& field);

/// Fields of a block in the schema's order; of a plug-in its own keys (name, initial), without the
/// settings.
std::vector<const google::protobuf::FieldDescriptor*> OwnKeys(
    const google::protobuf::Descriptor& message);
std::vector<const google::protobuf::FieldDescriptor*> AllFields(
    const google::protobuf::Descriptor& message);
/// Whether the block must be written: a key of it is required. Absent optional blocks of this kind
/// stay absent.
bool HasRequiredKey(const google::protobuf::Descriptor& message);

/// Names of a table; empty for an unknown table.
std::vector<std::string> PluginNames(const PluginTables& tables, const std::string& table);
/// Null for an unknown name.
const google::protobuf::Descriptor* SettingsOf(const PluginTables& tables, const std::string& table,
                                               const std::string& name);

std::unique_ptr<google::protobuf::Message> NewMessage(
    const google::protobuf::Descriptor& descriptor);
/// What an Any holds; null for an empty one and for a type this binary does not have.
std::unique_ptr<google::protobuf::Message> Unpack(const google::protobuf::Any& any);
/// A plug-in's name, settings and alternatives by reflection: Plugin, ModelChoice and a consumer's
/// own look alike.
std::string PluginName(const google::protobuf::Message& plugin);
const google::protobuf::Any* PluginSettings(const google::protobuf::Message& plugin);
std::vector<const google::protobuf::Any*> PluginAlternatives(
    const google::protobuf::Message& plugin);

/// "> 0 and <= 1"; empty without bounds.
std::string BoundsText(const v1::Key& key);
bool WithinBounds(const v1::Key& key, double value);
/// "number", "whole number", "text", "true or false", "duration", "block", "plug-in", "list of
/// numbers", ...
std::string TypeText(const google::protobuf::FieldDescriptor& field);

}  // namespace fedmeta
