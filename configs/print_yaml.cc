#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <google/protobuf/any.pb.h>

#include "fedmeta/configs/loader.h"
#include "fedmeta/configs/schema.h"
#include "fedmeta/configs/values.h"
#include "fedmeta/core/check.h"
#include "fedmeta/core/text.h"

namespace fedmeta {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

/// "key: value" lines of one block; the text of a nested block follows its key, two blanks further
/// in.
class Printer {
 public:
  explicit Printer(const PluginTables& tables) : tables_(tables) {}

  std::string Block(const Message& message) const {
    std::string text;
    for (const FieldDescriptor* field : AllFields(*message.GetDescriptor())) {
      text += Key(message, *field);
    }
    return text;
  }

 private:
  std::string Key(const Message& message, const FieldDescriptor& field) const {
    if (field.is_map()) return Named(field.name(), Map(message, field), "{}");
    if (field.is_repeated()) return List(message, field);
    const auto* reflection = message.GetReflection();
    if (!reflection->HasField(message, &field)) return "";
    if (IsValue(field)) return field.name() + ": " + PrintValue(message, field) + "\n";
    const Message& value = reflection->GetMessage(message, &field);
    return Named(field.name(), Nested(value, field), "{}");
  }

  std::string Nested(const Message& value, const FieldDescriptor& field) const {
    return IsPlugin(field) ? Plugin(value, field) : Block(value);
  }

  std::string List(const Message& message, const FieldDescriptor& field) const {
    const auto* reflection = message.GetReflection();
    const int size = reflection->FieldSize(message, &field);
    if (IsValue(field)) {
      std::vector<std::string> values;
      for (int i = 0; i < size; ++i) values.push_back(PrintValue(message, field, i));
      return field.name() + ": [" + Join(values, ", ") + "]\n";
    }
    std::string text;
    for (int i = 0; i < size; ++i) {
      std::string item = Indent(Nested(reflection->GetRepeatedMessage(message, &field, i), field));
      text += item.replace(0, 2, "- ");
    }
    return Named(field.name(), text, "[]");
  }

  std::string Map(const Message& message, const FieldDescriptor& field) const {
    const auto* reflection = message.GetReflection();
    const auto* type = field.message_type();
    const FieldDescriptor& content = *type->map_value();
    std::vector<std::string> entries;
    for (int i = 0; i < reflection->FieldSize(message, &field); ++i) {
      const Message& entry = reflection->GetRepeatedMessage(message, &field, i);
      const std::string name = PrintText(entry.GetReflection()->GetString(entry, type->map_key()));
      entries.push_back(
          IsValue(content)
              ? name + ": " + PrintValue(entry, content) + "\n"
              : Named(name, Nested(entry.GetReflection()->GetMessage(entry, &content), content),
                      "{}"));
    }
    std::sort(entries.begin(), entries.end());
    return Join(entries, "");
  }

  /// The plug-in's own keys, then its settings; keys that the alternatives differ in as lists
  /// again.
  std::string Plugin(const Message& plugin, const FieldDescriptor& field) const {
    std::string text;
    for (const FieldDescriptor* own : OwnKeys(*plugin.GetDescriptor())) text += Key(plugin, *own);
    const auto* type = SettingsOf(tables_, KeyOf(field).plugin(), PluginName(plugin));
    if (type == nullptr) return text;
    std::vector<const google::protobuf::Any*> packed = PluginAlternatives(plugin);
    if (const auto* first = PluginSettings(plugin)) packed.insert(packed.begin(), first);
    std::vector<std::unique_ptr<Message>> all;
    for (const auto* any : packed) {
      all.push_back(NewMessage(*type));
      FEDMETA_CHECK(any->UnpackTo(all.back().get()));
    }
    for (const FieldDescriptor* key : AllFields(*type)) text += Setting(all, *key);
    return text;
  }

  std::string Setting(const std::vector<std::unique_ptr<Message>>& all,
                      const FieldDescriptor& key) const {
    if (all.empty()) return "";
    const Message& first = *all.front();
    if (key.is_repeated() || !IsValue(key) || !first.GetReflection()->HasField(first, &key)) {
      return Key(first, key);
    }
    std::vector<std::string> values;
    for (const auto& settings : all) {
      std::string value = PrintValue(*settings, key);
      if (std::find(values.begin(), values.end(), value) == values.end()) {
        values.push_back(std::move(value));
      }
    }
    if (values.size() == 1) return key.name() + ": " + values.front() + "\n";
    return key.name() + ": [" + Join(values, ", ") + "]\n";
  }

  static std::string Named(const std::string& name, const std::string& block,
                           const std::string& empty) {
    if (block.empty()) return name + ": " + empty + "\n";
    return name + ":\n" + Indent(block);
  }

  static std::string Indent(const std::string& block) {
    std::string text;
    for (std::size_t at = 0; at < block.size();) {
      const std::size_t end = block.find('\n', at) + 1;
      text += "  " + block.substr(at, end - at);
      at = end;
    }
    return text;
  }

  const PluginTables& tables_;
};

}  // namespace

std::string PrintYaml(const Message& message, const PluginTables& tables) {
  return Printer(tables).Block(message);
}

}  // namespace fedmeta
