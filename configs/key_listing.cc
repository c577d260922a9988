#include "fedmeta/configs/key_listing.h"

#include "fedmeta/configs/binder.h"
#include "fedmeta/configs/schema.h"
#include "fedmeta/core/text.h"
#include "fedmeta/v1/client.pb.h"
#include "fedmeta/v1/coordinator.pb.h"
#include "fedmeta/v1/experiment.pb.h"

namespace fedmeta {
namespace {

using google::protobuf::Descriptor;

void Collect(const Descriptor& block, const std::string& prefix, std::vector<ListedKey>& keys) {
  for (const auto* field : AllFields(block)) {
    const std::string path = JoinPath(prefix, field->name());
    keys.push_back({path, field});
    if (field->is_map() && field->message_type()->map_value()->message_type() != nullptr) {
      Collect(*field->message_type()->map_value()->message_type(), path + ".<name>", keys);
    } else if (IsBlock(*field)) {
      Collect(*field->message_type(), path, keys);
    }
  }
}

}  // namespace

std::vector<ListedFile> ListFiles() {
  return {{"experiment", v1::Experiment::descriptor()},
          {"client", v1::ClientFile::descriptor()},
          {"coordinator", v1::CoordinatorFile::descriptor()}};
}

std::vector<ListedKey> ListKeys(const Descriptor& schema) {
  std::vector<ListedKey> keys;
  Collect(schema, "", keys);
  return keys;
}

std::string DocText(const google::protobuf::FieldDescriptor& field) {
  const v1::Key& key = KeyOf(field);
  return key.changeable() ? key.doc() + " May change when a run is resumed." : key.doc();
}

std::string DefaultText(const google::protobuf::FieldDescriptor& field) {
  return KeyOf(field).required() ? "required" : KeyOf(field).default_value();
}

std::string AllowedText(const google::protobuf::FieldDescriptor& field,
                        const PluginTables& tables) {
  const v1::Key& key = KeyOf(field);
  if (!key.plugin().empty()) return Join(PluginNames(tables, key.plugin()), ", ");
  const std::vector<std::string> choices(key.choices().begin(), key.choices().end());
  if (!choices.empty()) return Join(choices, ", ");
  const std::string bounds = BoundsText(key);
  if (key.unit().empty()) return bounds;
  return bounds.empty() ? key.unit() : bounds + " " + key.unit();
}

}  // namespace fedmeta
