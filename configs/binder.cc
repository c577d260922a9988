#include "fedmeta/configs/binder.h"

#include <algorithm>
#include <memory>
#include <set>
#include <utility>

#include <google/protobuf/any.pb.h>

#include "fedmeta/configs/paths.h"
#include "fedmeta/configs/schema.h"
#include "fedmeta/configs/values.h"
#include "fedmeta/core/check.h"
#include "fedmeta/core/text.h"

namespace fedmeta {
namespace {

using google::protobuf::Any;
using google::protobuf::Descriptor;
using google::protobuf::Message;

constexpr const char* kDefaultOrigin = "default";

std::string ItemPath(const std::string& path, std::size_t index) {
  return path + "[" + std::to_string(index) + "]";
}

std::vector<std::string> Names(
    const std::vector<const google::protobuf::FieldDescriptor*>& fields) {
  std::vector<std::string> names;
  for (const auto* field : fields) names.push_back(field->name());
  return names;
}

bool IsDefault(const Place& place) { return place.line == 0 && place.file == kDefaultOrigin; }

Message& MutableElement(Message& message, const google::protobuf::FieldDescriptor& field) {
  const auto* reflection = message.GetReflection();
  return field.is_repeated() ? *reflection->AddMessage(&message, &field)
                             : *reflection->MutableMessage(&message, &field);
}

}  // namespace

std::string JoinPath(const std::string& path, std::string_view key) {
  return path.empty() ? std::string(key) : path + "." + std::string(key);
}

Binder::Binder(const PluginTables& tables, std::filesystem::path config_folder, SourceMap& places,
               std::vector<Problem>& problems)
    : tables_(tables),
      config_folder_(std::move(config_folder)),
      places_(places),
      problems_(problems) {}

void Binder::BindFile(const YamlNode& root, Message& message) {
  BindBlock({root, root.place}, "", message);
}

Binder::Located Binder::Locate(const YamlEntry& entry) {
  return {entry.value, entry.value.IsScalar() ? entry.value.place : entry.key_place};
}

void Binder::Report(const Place& place, std::string message) {
  problems_.push_back({place, std::move(message)});
}

void Binder::Remember(const std::string& path, const Place& place) {
  // A default stands nowhere: checks across fields then point at the nearest thing that was
  // written.
  if (IsDefault(place)) return;
  places_.Set(path, place);
}

void Binder::BindBlock(const Located& block, const std::string& path, Message& message) {
  if (!block.node.IsMap()) {
    Report(block.place, (path.empty() ? "the file" : path) + " must be a block of keys, got " +
                            block.node.Describe());
    return;
  }
  Remember(path, block.place);
  const auto fields = AllFields(*message.GetDescriptor());
  for (const Field* field : fields) BindKey(block, path, *field, message);
  ReportUnknownKeys(block.node, path, fields);
}

void Binder::BindKey(const Located& block, const std::string& path, const Field& field,
                     Message& message) {
  const std::string key_path = JoinPath(path, field.name());
  if (const YamlEntry* entry = block.node.Find(field.name())) {
    BindNode(Locate(*entry), key_path, field, message);
  } else {
    BindAbsent(block.place, key_path, field, message);
  }
}

void Binder::BindAbsent(const Place& place, const std::string& path, const Field& field,
                        Message& message) {
  const v1::Key& key = KeyOf(field);
  if (key.required()) {
    Report(place, path + " is required: " + key.doc());
  } else if (!key.default_value().empty()) {
    const auto node = ParseYaml(key.default_value(), {kDefaultOrigin, false}, problems_);
    if (node) BindNode({*node, node->place}, path, field, message);
  } else if (IsBlock(field) && !field.is_repeated() && !HasRequiredKey(*field.message_type())) {
    YamlNode empty;
    empty.kind = YamlNode::Kind::kMap;
    empty.place = {kDefaultOrigin};
    BindBlock({empty, empty.place}, path, MutableElement(message, field));
  }
}

void Binder::BindNode(const Located& value, const std::string& path, const Field& field,
                      Message& message) {
  if (field.is_map()) {
    BindMap(value, path, field, message);
  } else if (field.is_repeated()) {
    BindList(value, path, field, message);
  } else if (IsPlugin(field)) {
    BindPlugin(value, path, field, MutableElement(message, field));
  } else if (IsBlock(field)) {
    BindBlock(value, path, MutableElement(message, field));
  } else {
    BindValue(value, path, field, message);
  }
}

void Binder::BindList(const Located& list, const std::string& path, const Field& field,
                      Message& message) {
  if (list.node.IsScalar() && IsValue(field)) {
    BindValue(list, path, field, message);
    return;
  }
  if (!list.node.IsSequence()) {
    Report(list.place, path + " must be a " + TypeText(field) + ", got " + list.node.Describe());
    return;
  }
  Remember(path, list.place);
  if (list.node.items.empty() && KeyOf(field).required()) {
    Report(list.place, path + " needs at least one: " + KeyOf(field).doc());
  }
  for (std::size_t i = 0; i < list.node.items.size(); ++i) {
    const YamlNode& item = list.node.items[i];
    const Located located{item, item.place};
    const std::string item_path = ItemPath(path, i);
    if (IsPlugin(field)) {
      BindPlugin(located, item_path, field, MutableElement(message, field));
    } else if (IsBlock(field)) {
      BindBlock(located, item_path, MutableElement(message, field));
    } else {
      BindValue(located, item_path, field, message);
    }
  }
}

void Binder::BindMap(const Located& map, const std::string& path, const Field& field,
                     Message& message) {
  if (!map.node.IsMap()) {
    Report(map.place, path + " must be " + TypeText(field) + ", got " + map.node.Describe());
    return;
  }
  Remember(path, map.place);
  if (map.node.entries.empty() && KeyOf(field).required()) {
    Report(map.place, path + " needs at least one entry: " + KeyOf(field).doc());
  }
  const Descriptor* entry_type = field.message_type();
  for (const YamlEntry& entry : map.node.entries) {
    Message& element = MutableElement(message, field);
    element.GetReflection()->SetString(&element, entry_type->map_key(), entry.key);
    BindNode(Locate(entry), JoinPath(path, entry.key), *entry_type->map_value(), element);
  }
}

bool Binder::BindValue(const Located& value, const std::string& path, const Field& field,
                       Message& message) {
  Remember(path, value.place);
  if (const auto refused = ReadValue(value.node, field, message)) {
    Report(value.place, path + " " + *refused);
    return false;
  }
  if (!KeyOf(field).path()) return true;
  const auto* reflection = message.GetReflection();
  // An argument is typed in some folder and means that one.
  const bool argument = value.place.line == 0 && !IsDefault(value.place);
  const auto base = argument ? std::filesystem::current_path() : config_folder_;
  const auto resolved = ResolvePath(value.node.scalar, base, config_folder_);
  if (!resolved.ok()) {
    Report(value.place, path + " " + resolved.error().message());
    return false;
  }
  if (field.is_repeated()) {
    reflection->SetRepeatedString(&message, &field, reflection->FieldSize(message, &field) - 1,
                                  *resolved);
  } else {
    reflection->SetString(&message, &field, *resolved);
  }
  return true;
}

void Binder::BindPlugin(const Located& plugin, const std::string& path, const Field& field,
                        Message& message) {
  const std::string& table = KeyOf(field).plugin();
  const auto names = PluginNames(tables_, table);
  const std::string known = "one of " + Join(names, ", ");
  if (!plugin.node.IsMap()) {
    Report(plugin.place, path + " must be a block with a name, such as {name: " +
                             (names.empty() ? "..." : names.front()) + "}, got " +
                             plugin.node.Describe());
    return;
  }
  Remember(path, plugin.place);
  const auto own = OwnKeys(*message.GetDescriptor());
  for (const Field* key : own) {
    if (key->name() != "name") BindKey(plugin, path, *key, message);
  }
  const YamlEntry* entry = plugin.node.Find("name");
  if (entry == nullptr) {
    Report(plugin.place, path + ".name is required, " + known);
    return;
  }
  const Located name = Locate(*entry);
  if (!BindValue(name, path + ".name", *message.GetDescriptor()->FindFieldByName("name"),
                 message)) {
    return;
  }
  const Descriptor* settings_type = SettingsOf(tables_, table, name.node.scalar);
  if (settings_type == nullptr) {
    const auto nearest = NearestName(name.node.scalar, names);
    Report(name.place, path + ".name must be " + known + ", got " + name.node.Describe() +
                           (nearest ? "; did you mean '" + *nearest + "'?" : ""));
    return;
  }
  BindSettings(plugin, path, field, *settings_type, message);
  auto keys = AllFields(*settings_type);
  keys.insert(keys.begin(), own.begin(), own.end());
  ReportUnknownKeys(plugin.node, path, keys);
}

void Binder::BindSettings(const Located& plugin, const std::string& path, const Field& field,
                          const Descriptor& settings_type, Message& message) {
  const auto settings = NewMessage(settings_type);
  std::vector<const Field*> lists;
  for (const Field* key : AllFields(settings_type)) {
    const YamlEntry* entry = plugin.node.Find(key->name());
    const bool listed = entry != nullptr && entry->value.IsSequence();
    if (KeyOf(field).grid() && listed && !key->is_repeated() && IsValue(*key)) {
      lists.push_back(key);
    } else {
      BindKey(plugin, path, *key, *settings);
    }
  }
  const auto all = ExpandGrid(plugin, path, lists, *settings);
  if (all.empty()) return;
  const Descriptor* type = message.GetDescriptor();
  const auto* reflection = message.GetReflection();
  const auto pack = [](Message* any, const Message& content) {
    FEDMETA_CHECK(static_cast<Any*>(any)->PackFrom(content));
  };
  pack(reflection->MutableMessage(&message, type->FindFieldByName("settings")), *all.front());
  for (std::size_t i = 1; i < all.size(); ++i) {
    pack(reflection->AddMessage(&message, type->FindFieldByName("alternatives")), *all[i]);
  }
}

std::vector<std::unique_ptr<Message>> Binder::ExpandGrid(const Located& plugin,
                                                         const std::string& path,
                                                         const std::vector<const Field*>& lists,
                                                         const Message& base) {
  std::vector<std::unique_ptr<Message>> product;
  product.emplace_back(base.New())->CopyFrom(base);
  for (const Field* field : lists) {
    const YamlEntry& entry = *plugin.node.Find(field->name());
    const std::string key_path = JoinPath(path, field->name());
    const auto& items = entry.value.items;
    Remember(key_path, entry.key_place);
    if (items.empty()) {
      Report(entry.key_place, key_path + " must be a value or a list of at least one");
      return {};
    }
    if (product.size() * items.size() > kMaximumGridSettings) {
      Report(entry.key_place, path + " asks for more than " + std::to_string(kMaximumGridSettings) +
                                  " settings, the product of its lists; shorten one");
      return {};
    }
    // Read once on their own, so that a bad element is reported once and not for each element of
    // the product.
    const std::unique_ptr<Message> empty(base.New());
    std::set<std::string> distinct;
    bool good = true;
    for (std::size_t i = 0; i < items.size(); ++i) {
      const std::unique_ptr<Message> value(empty->New());
      if (!BindValue({items[i], items[i].place}, ItemPath(key_path, i), *field, *value)) {
        good = false;
      } else if (!distinct.insert(value->SerializeAsString()).second) {
        Report(items[i].place, ItemPath(key_path, i) + " repeats " + items[i].scalar);
        good = false;
      }
    }
    if (!good) return {};
    std::vector<std::unique_ptr<Message>> longer;
    for (const auto& settings : product) {
      for (const YamlNode& item : items) {
        Message& copy = *longer.emplace_back(base.New());
        copy.CopyFrom(*settings);
        BindValue({item, item.place}, key_path, *field, copy);
      }
    }
    product = std::move(longer);
    Remember(key_path, entry.key_place);
  }
  return product;
}

void Binder::ReportUnknownKeys(const YamlNode& block, const std::string& path,
                               const std::vector<const Field*>& known) {
  const auto names = Names(known);
  for (const YamlEntry& entry : block.entries) {
    if (std::find(names.begin(), names.end(), entry.key) != names.end()) continue;
    std::string message = "unknown key '" + JoinPath(path, entry.key) + "'";
    if (const auto nearest = NearestName(entry.key, names)) {
      message += "; did you mean '" + *nearest + "'?";
    } else {
      message += names.empty() ? "; there are no keys here" : "; known here: " + Join(names, ", ");
    }
    Report(entry.key_place, std::move(message));
  }
}

}  // namespace fedmeta
