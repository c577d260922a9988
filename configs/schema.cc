#include "fedmeta/configs/schema.h"

#include <algorithm>
#include <cmath>
#include <cstdint>

#include <google/protobuf/duration.pb.h>

#include "fedmeta/core/check.h"
#include "fedmeta/core/text.h"

namespace fedmeta {
namespace {

using google::protobuf::Any;
using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

bool IsAny(const FieldDescriptor& field) {
  return field.message_type() != nullptr && field.message_type() == Any::descriptor();
}

/// 100000, where the shortest text is 1e+05.
std::string FormatBound(double value) {
  constexpr double kExactlyWhole = 1e15;
  if (std::floor(value) == value && std::abs(value) < kExactlyWhole) {
    return std::to_string(static_cast<std::int64_t>(value));
  }
  return FormatNumber(value);
}

}  // namespace

const v1::Key& KeyOf(const FieldDescriptor& field) { return field.options().GetExtension(v1::key); }

const v1::Summary& SummaryOf(const Descriptor& message) {
  return message.options().GetExtension(v1::summary);
}

bool IsDuration(const FieldDescriptor& field) {
  return field.message_type() != nullptr &&
         field.message_type() == google::protobuf::Duration::descriptor();
}

bool IsPlugin(const FieldDescriptor& field) {
  if (field.message_type() == nullptr || field.is_map()) return false;
  const FieldDescriptor* settings = field.message_type()->FindFieldByName("settings");
  return settings != nullptr && IsAny(*settings);
}

bool IsBlock(const FieldDescriptor& field) {
  return field.message_type() != nullptr && !field.is_map() && !IsDuration(field) &&
         !IsPlugin(field);
}

bool IsValue(const FieldDescriptor& field) {
  return field.message_type() == nullptr || IsDuration(field);
}

std::vector<const FieldDescriptor*> AllFields(const Descriptor& message) {
  std::vector<const FieldDescriptor*> fields;
  for (int i = 0; i < message.field_count(); ++i) fields.push_back(message.field(i));
  return fields;
}

std::vector<const FieldDescriptor*> OwnKeys(const Descriptor& message) {
  std::vector<const FieldDescriptor*> fields = AllFields(message);
  std::erase_if(fields, [](const FieldDescriptor* field) { return IsAny(*field); });
  return fields;
}

bool HasRequiredKey(const Descriptor& message) {
  const auto fields = AllFields(message);
  return std::any_of(fields.begin(), fields.end(),
                     [](const FieldDescriptor* field) { return KeyOf(*field).required(); });
}

std::vector<std::string> PluginNames(const PluginTables& tables, const std::string& table) {
  std::vector<std::string> names;
  if (const auto found = tables.tables.find(table); found != tables.tables.end()) {
    for (const auto& [name, settings] : found->second) names.push_back(name);
  }
  return names;
}

const Descriptor* SettingsOf(const PluginTables& tables, const std::string& table,
                             const std::string& name) {
  const auto found = tables.tables.find(table);
  if (found == tables.tables.end()) return nullptr;
  const auto entry = found->second.find(name);
  return entry == found->second.end() ? nullptr : entry->second;
}

std::unique_ptr<Message> NewMessage(const Descriptor& descriptor) {
  const Message* prototype =
      google::protobuf::MessageFactory::generated_factory()->GetPrototype(&descriptor);
  FEDMETA_CHECK(prototype != nullptr);
  return std::unique_ptr<Message>(prototype->New());
}

std::unique_ptr<Message> Unpack(const Any& any) {
  std::string name;
  if (!Any::ParseAnyTypeUrl(any.type_url(), &name)) return nullptr;
  const Descriptor* descriptor =
      google::protobuf::DescriptorPool::generated_pool()->FindMessageTypeByName(name);
  if (descriptor == nullptr) return nullptr;
  auto message = NewMessage(*descriptor);
  return any.UnpackTo(message.get()) ? std::move(message) : nullptr;
}

std::string PluginName(const Message& plugin) {
  const FieldDescriptor* field = plugin.GetDescriptor()->FindFieldByName("name");
  return plugin.GetReflection()->GetString(plugin, field);
}

const Any* PluginSettings(const Message& plugin) {
  const FieldDescriptor* field = plugin.GetDescriptor()->FindFieldByName("settings");
  const auto* reflection = plugin.GetReflection();
  if (!reflection->HasField(plugin, field)) return nullptr;
  return static_cast<const Any*>(&reflection->GetMessage(plugin, field));
}

std::vector<const Any*> PluginAlternatives(const Message& plugin) {
  std::vector<const Any*> alternatives;
  const FieldDescriptor* field = plugin.GetDescriptor()->FindFieldByName("alternatives");
  if (field == nullptr) return alternatives;
  const auto* reflection = plugin.GetReflection();
  for (int i = 0; i < reflection->FieldSize(plugin, field); ++i) {
    alternatives.push_back(
        static_cast<const Any*>(&reflection->GetRepeatedMessage(plugin, field, i)));
  }
  return alternatives;
}

std::string BoundsText(const v1::Key& key) {
  std::vector<std::string> bounds;
  if (key.has_minimum()) bounds.push_back(">= " + FormatBound(key.minimum()));
  if (key.has_above()) bounds.push_back("> " + FormatBound(key.above()));
  if (key.has_maximum()) bounds.push_back("<= " + FormatBound(key.maximum()));
  if (key.has_below()) bounds.push_back("< " + FormatBound(key.below()));
  return Join(bounds, " and ");
}

bool WithinBounds(const v1::Key& key, double value) {
  return !(key.has_minimum() && value < key.minimum()) &&
         !(key.has_above() && value <= key.above()) &&
         !(key.has_maximum() && value > key.maximum()) &&
         !(key.has_below() && value >= key.below());
}

std::string TypeText(const FieldDescriptor& field) {
  const bool list = field.is_repeated();
  if (field.is_map()) {
    return field.message_type()->map_value()->message_type() == nullptr ? "texts by name"
                                                                        : "blocks by name";
  }
  if (IsDuration(field)) return list ? "list of durations" : "duration";
  if (IsPlugin(field)) return list ? "list of plug-ins" : "plug-in";
  if (IsBlock(field)) return list ? "list of blocks" : "block";
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_BOOL:
      return list ? "list of true or false" : "true or false";
    case FieldDescriptor::CPPTYPE_STRING:
      return list ? "list of text" : "text";
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return list ? "list of numbers" : "number";
    default:
      return list ? "list of whole numbers" : "whole number";
  }
}

}  // namespace fedmeta
