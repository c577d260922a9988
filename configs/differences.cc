#include "fedmeta/configs/differences.h"

#include <map>

#include <yaml-cpp/yaml.h>

#include "fedmeta/configs/schema.h"
#include "fedmeta/v1/experiment.pb.h"

namespace fedmeta {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;

struct Value {
  std::string text;
  bool changeable = false;
};
using Values = std::map<std::string, Value>;

/// A plug-in's settings stand between its own keys.
const FieldDescriptor* FindKey(const Descriptor* block, const Descriptor* settings,
                               const std::string& name) {
  const FieldDescriptor* key = block == nullptr ? nullptr : block->FindFieldByName(name);
  if (key == nullptr && settings != nullptr) key = settings->FindFieldByName(name);
  return key;
}

class Flattener {
 public:
  Flattener(const PluginTables& tables, Values& values) : tables_(tables), values_(values) {}

  void Block(const YAML::Node& node, const Descriptor* block, const Descriptor* settings,
             const std::string& path) {
    for (const auto& entry : node) {
      const auto name = entry.first.as<std::string>();
      const std::string at = path.empty() ? name : path + "." + name;
      Key(entry.second, FindKey(block, settings, name), at);
    }
  }

 private:
  void Key(const YAML::Node& node, const FieldDescriptor* key, const std::string& path) {
    if (node.IsMap()) {
      const Descriptor* settings = nullptr;
      if (key != nullptr && IsPlugin(*key) && node["name"]) {
        settings =
            SettingsOf(tables_, KeyOf(*key).plugin(), node["name"].template as<std::string>());
      }
      Block(node, key == nullptr ? nullptr : key->message_type(), settings, path);
    } else if (node.IsSequence() && node.size() > 0 && node[0].IsMap()) {
      for (std::size_t i = 0; i < node.size(); ++i) {
        Key(node[i], key, path + "[" + std::to_string(i) + "]");
      }
    } else {
      const bool changeable = key != nullptr && (KeyOf(*key).changeable() || KeyOf(*key).path());
      values_[path] = {.text = YAML::Dump(node), .changeable = changeable};
    }
  }

  const PluginTables& tables_;
  Values& values_;
};

Result<Values> Flatten(const std::string& yaml, const PluginTables& tables) {
  Values values;
  try {
    Flattener(tables, values)
        .Block(YAML::Load(yaml), v1::Experiment::descriptor(), nullptr, std::string());
  } catch (const YAML::Exception& exception) {
    return Error(ErrorCode::kDataLoss,
                 std::string("the stored experiment is damaged: ") + exception.what());
  }
  return values;
}

}  // namespace

Result<std::vector<KeyDifference>> Differences(const std::string& before, const std::string& after,
                                               const PluginTables& tables) {
  FEDMETA_ASSIGN_OR_RETURN(Values old_values, Flatten(before, tables));
  FEDMETA_ASSIGN_OR_RETURN(const Values new_values, Flatten(after, tables));
  std::map<std::string, KeyDifference> differences;
  for (const auto& [path, value] : old_values) {
    const auto now = new_values.find(path);
    if (now != new_values.end() && now->second.text == value.text) continue;
    differences[path] = {.path = path,
                         .before = value.text,
                         .after = now == new_values.end() ? std::string() : now->second.text,
                         .changeable = value.changeable};
  }
  for (const auto& [path, value] : new_values) {
    if (old_values.contains(path)) continue;
    differences[path] = {
        .path = path, .before = {}, .after = value.text, .changeable = value.changeable};
  }
  std::vector<KeyDifference> list;
  for (auto& [path, difference] : differences) list.push_back(std::move(difference));
  return list;
}

}  // namespace fedmeta
