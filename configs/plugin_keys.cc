#include "fedmeta/configs/plugin_keys.h"

#include "fedmeta/configs/schema.h"

namespace fedmeta {

using google::protobuf::FieldDescriptor;

PluginKeys::PluginKeys(const google::protobuf::Any& settings) : message_(Unpack(settings)) {}

std::optional<std::uint32_t> PluginKeys::Whole(const std::string& key) const {
  const FieldDescriptor* field = Find(key, FieldDescriptor::CPPTYPE_UINT32);
  if (field == nullptr) return std::nullopt;
  return message_->GetReflection()->GetUInt32(*message_, field);
}

std::optional<double> PluginKeys::Number(const std::string& key) const {
  const FieldDescriptor* field = Find(key, FieldDescriptor::CPPTYPE_DOUBLE);
  if (field == nullptr) return std::nullopt;
  return message_->GetReflection()->GetDouble(*message_, field);
}

std::string PluginKeys::Text(const std::string& key) const {
  const FieldDescriptor* field = Find(key, FieldDescriptor::CPPTYPE_STRING);
  return field == nullptr ? "" : message_->GetReflection()->GetString(*message_, field);
}

const FieldDescriptor* PluginKeys::Find(const std::string& key,
                                        FieldDescriptor::CppType type) const {
  if (message_ == nullptr) return nullptr;
  const FieldDescriptor* field = message_->GetDescriptor()->FindFieldByName(key);
  if (field == nullptr || field->is_repeated() || field->cpp_type() != type ||
      !message_->GetReflection()->HasField(*message_, field)) {
    return nullptr;
  }
  return field;
}

}  // namespace fedmeta
