#include "fedmeta/algorithms/models/plugin_settings.h"

#include <algorithm>
#include <optional>
#include <string>

#include "fedmeta/core/text.h"
#include "fedmeta/v1/options.pb.h"

namespace fedmeta {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

void SetDefault(Message& settings, const FieldDescriptor& field, const std::string& text) {
  const auto* reflection = settings.GetReflection();
  const double number = ParseNumber(text).value_or(0);
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return reflection->SetDouble(&settings, &field, number);
    case FieldDescriptor::CPPTYPE_UINT32:
      return reflection->SetUInt32(&settings, &field, static_cast<std::uint32_t>(number));
    case FieldDescriptor::CPPTYPE_BOOL:
      return reflection->SetBool(&settings, &field, text == "true");
    case FieldDescriptor::CPPTYPE_STRING:
      return reflection->SetString(&settings, &field, text);
    default:
      return;  // no settings message has another type
  }
}

Status CheckNumber(const FieldDescriptor& field, const v1::Key& key, double value) {
  const auto fails = [&](const char* relation, double bound) {
    return Error(ErrorCode::kInvalidArgument, field.name() + " must be " + relation + " " +
                                                  FormatNumber(bound) + ", got " +
                                                  FormatNumber(value));
  };
  // Written so that NaN fails every bound.
  if (key.has_minimum() && !(value >= key.minimum())) return fails(">=", key.minimum());
  if (key.has_above() && !(value > key.above())) return fails(">", key.above());
  if (key.has_maximum() && !(value <= key.maximum())) return fails("<=", key.maximum());
  if (key.has_below() && !(value < key.below())) return fails("<", key.below());
  return {};
}

Status CheckText(const FieldDescriptor& field, const v1::Key& key, const std::string& value) {
  const auto& choices = key.choices();
  if (choices.empty() || std::find(choices.begin(), choices.end(), value) != choices.end()) {
    return {};
  }
  return Error(ErrorCode::kInvalidArgument,
               field.name() + " must be one of " +
                   Join(std::vector<std::string>(choices.begin(), choices.end()), ", ") +
                   ", got '" + value + "'");
}

Status CheckField(const Message& settings, const FieldDescriptor& field, const v1::Key& key) {
  const auto* reflection = settings.GetReflection();
  if (field.is_repeated()) {
    for (int i = 0; i < reflection->FieldSize(settings, &field); ++i) {
      if (field.cpp_type() != FieldDescriptor::CPPTYPE_UINT32) continue;
      FEDMETA_RETURN_IF_ERROR(
          CheckNumber(field, key, reflection->GetRepeatedUInt32(settings, &field, i)));
    }
    return {};
  }
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return CheckNumber(field, key, reflection->GetDouble(settings, &field));
    case FieldDescriptor::CPPTYPE_UINT32:
      return CheckNumber(field, key, reflection->GetUInt32(settings, &field));
    case FieldDescriptor::CPPTYPE_STRING:
      return CheckText(field, key, reflection->GetString(settings, &field));
    default:
      return {};
  }
}

}  // namespace

Status CompleteSettings(Message& settings) {
  const auto* descriptor = settings.GetDescriptor();
  for (int i = 0; i < descriptor->field_count(); ++i) {
    const FieldDescriptor& field = *descriptor->field(i);
    const v1::Key& key = field.options().GetExtension(v1::key);
    if (field.has_presence() && !settings.GetReflection()->HasField(settings, &field)) {
      SetDefault(settings, field, key.default_value());
    }
    FEDMETA_RETURN_IF_ERROR(CheckField(settings, field, key));
  }
  return {};
}

}  // namespace fedmeta
