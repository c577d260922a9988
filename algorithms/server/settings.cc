#include "fedmeta/algorithms/server/settings.h"

#include <cstdint>
#include <string>

#include <google/protobuf/descriptor.h>

#include "fedmeta/core/text.h"
#include "fedmeta/v1/options.pb.h"

namespace fedmeta {
namespace {

using google::protobuf::FieldDescriptor;

Error Refused(const FieldDescriptor& field, const std::string& what) {
  return {ErrorCode::kInvalidArgument,
          field.containing_type()->name() + ": " + field.name() + " " + what};
}

/// Numbers and words: what server plug-ins have.
Status SetDefault(const FieldDescriptor& field, google::protobuf::Message& settings) {
  const std::string& text = field.options().GetExtension(v1::key).default_value();
  const google::protobuf::Reflection& reflection = *settings.GetReflection();
  if (text.empty()) return Refused(field, "is not set and has no default");
  if (field.cpp_type() == FieldDescriptor::CPPTYPE_STRING) {
    reflection.SetString(&settings, &field, text);
    return {};
  }
  const auto number = ParseNumber(text);
  if (field.cpp_type() == FieldDescriptor::CPPTYPE_UINT32 && number) {
    reflection.SetUInt32(&settings, &field, static_cast<std::uint32_t>(*number));
    return {};
  }
  if (field.cpp_type() != FieldDescriptor::CPPTYPE_DOUBLE || !number) {
    return Refused(field, "has a default that is not read here: '" + text + "'");
  }
  reflection.SetDouble(&settings, &field, *number);
  return {};
}

}  // namespace

Status ReadSettings(const google::protobuf::Any& packed, google::protobuf::Message& settings) {
  settings.Clear();
  const google::protobuf::Descriptor& type = *settings.GetDescriptor();
  if (!packed.type_url().empty()) {
    const std::string got = packed.type_url().substr(packed.type_url().rfind('/') + 1);
    if (got != type.full_name()) {
      return Error(ErrorCode::kInvalidArgument,
                   "settings must be a " + type.full_name() + ", got a " + got);
    }
    if (!settings.ParseFromString(packed.value())) {
      return Error(ErrorCode::kInvalidArgument, "settings are not a valid " + type.full_name());
    }
  }
  for (int i = 0; i < type.field_count(); ++i) {
    const FieldDescriptor& field = *type.field(i);
    if (settings.GetReflection()->HasField(settings, &field)) continue;
    FEDMETA_RETURN_IF_ERROR(SetDefault(field, settings));
  }
  return {};
}

}  // namespace fedmeta
