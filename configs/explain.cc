#include "fedmeta/configs/explain.h"

#include <algorithm>
#include <vector>

#include "fedmeta/configs/binder.h"
#include "fedmeta/configs/key_listing.h"
#include "fedmeta/configs/schema.h"
#include "fedmeta/core/text.h"

namespace fedmeta {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;

/// One thing that can be asked for: a key of a file, a plug-in, or a key of a plug-in.
struct Topic {
  std::string title;                       ///< what the answer calls it, and what is typed
  std::string where;                       ///< "experiment file", "algorithm"
  const FieldDescriptor* field = nullptr;  ///< null: a plug-in
  const Descriptor* settings = nullptr;    ///< of a plug-in
  std::vector<ListedKey> keys = {};        ///< below it
  bool alias = false;                      ///< has a title of its own elsewhere
};

std::string Padded(const std::string& text, std::size_t width) {
  return text + std::string(width > text.size() ? width - text.size() : 0, ' ');
}

/// "text, required", "number, default 0.1".
std::string TypeAndDefault(const FieldDescriptor& field) {
  const v1::Key& key = KeyOf(field);
  if (key.required()) return TypeText(field) + ", required";
  if (key.default_value().empty()) return TypeText(field);
  return TypeText(field) + ", default " + key.default_value();
}

std::string OneLineEach(const std::vector<ListedKey>& keys) {
  std::size_t paths = 0;
  std::size_t types = 0;
  for (const ListedKey& key : keys) {
    paths = std::max(paths, key.path.size());
    types = std::max(types, TypeAndDefault(*key.field).size());
  }
  std::string text;
  for (const ListedKey& key : keys) {
    text += "  " + Padded(key.path, paths) + "  " + Padded(TypeAndDefault(*key.field), types) +
            "  " + DocText(*key.field) + "\n";
  }
  return text;
}

std::vector<ListedKey> SettingsKeys(const std::string& prefix, const Descriptor& settings) {
  std::vector<ListedKey> keys;
  for (const FieldDescriptor* field : AllFields(settings)) {
    keys.push_back({JoinPath(prefix, field->name()), field});
  }
  return keys;
}

std::vector<Topic> FileTopics(const PluginTables& tables) {
  std::vector<Topic> topics;
  for (const ListedFile& file : ListFiles()) {
    const auto all = ListKeys(*file.schema);
    for (const ListedKey& key : all) {
      Topic topic{key.path, file.name + " file", key.field};
      std::copy_if(all.begin(), all.end(), std::back_inserter(topic.keys),
                   [&](const ListedKey& other) { return other.path.starts_with(key.path + "."); });
      topics.push_back(std::move(topic));
      // "algorithm.inner_learning_rate", as it is written in overrides and in messages.
      if (!IsPlugin(*key.field)) continue;
      for (const auto* own : OwnKeys(*key.field->message_type())) {
        topics.push_back({JoinPath(key.path, own->name()), file.name + " file", own});
      }
      for (const std::string& name : PluginNames(tables, KeyOf(*key.field).plugin())) {
        const Descriptor& settings = *SettingsOf(tables, KeyOf(*key.field).plugin(), name);
        for (const ListedKey& setting : SettingsKeys(key.path, settings)) {
          topics.push_back({setting.path, "of " + name, setting.field, nullptr, {}, true});
        }
      }
    }
  }
  return topics;
}

std::vector<Topic> PluginTopics(const PluginTables& tables) {
  std::vector<Topic> topics;
  for (const auto& [table, plugins] : tables.tables) {
    for (const auto& [name, settings] : plugins) {
      const auto keys = SettingsKeys(name, *settings);
      topics.push_back({name, table, nullptr, settings, keys});
      for (const ListedKey& key : keys) {
        topics.push_back({key.path, table + " " + name, key.field});
      }
    }
  }
  return topics;
}

std::string Show(const Topic& topic, const PluginTables& tables) {
  std::string text = topic.title + "   (" + topic.where + ")\n";
  if (topic.field == nullptr) {
    const v1::Summary& summary = SummaryOf(*topic.settings);
    text += "  " + summary.doc() + "\n";
    if (!summary.source().empty()) text += "  source   " + summary.source() + "\n";
    if (summary.baseline_only()) text += "  stands   in evaluation.baselines only\n";
    if (summary.individual_updates()) {
      text += "  stands   in privacy.secure_aggregation.mode plain_robust only\n";
    }
  } else {
    const v1::Key& key = KeyOf(*topic.field);
    text += "  " + DocText(*topic.field) + "\n  type     " + TypeText(*topic.field) + "\n";
    if (!DefaultText(*topic.field).empty()) {
      text += "  default  " + DefaultText(*topic.field) + "\n";
    }
    if (const std::string allowed = AllowedText(*topic.field, tables); !allowed.empty()) {
      text += "  allowed  " + allowed + "\n";
    }
    if (key.grid()) text += "  grid     a list for a key that takes one value tries each\n";
    for (const std::string& name : PluginNames(tables, key.plugin())) {
      text += "  " + Padded(name, 14) + "  " +
              SummaryOf(*SettingsOf(tables, key.plugin(), name)).doc() + "\n";
    }
  }
  return text + OneLineEach(topic.keys);
}

std::string ShowEverything(const PluginTables& tables) {
  std::string text;
  for (const ListedFile& file : ListFiles()) {
    text += file.name + " file: " + SummaryOf(*file.schema).doc() + "\n" +
            OneLineEach(ListKeys(*file.schema)) + "\n";
  }
  text += "plug-ins (`fedmeta explain NAME` shows the keys of one)\n";
  for (const auto& [table, plugins] : tables.tables) {
    text += "  " + Padded(table, 12) + "  " + Join(PluginNames(tables, table), ", ") + "\n";
  }
  return text;
}

bool EndsWithKey(const std::string& path, std::string_view key) {
  return path.ends_with("." + std::string(key));
}

}  // namespace

Result<std::string> Explain(const PluginTables& tables, std::string_view key) {
  if (key.empty()) return ShowEverything(tables);
  const auto files = FileTopics(tables);
  const auto plugins = PluginTopics(tables);
  std::vector<const Topic*> found;
  std::vector<std::string> names;
  for (const auto* topics : {&files, &plugins}) {
    for (const Topic& topic : *topics) {
      names.push_back(topic.title);
      if (topic.title == key) found.push_back(&topic);
    }
  }
  const bool exact = !found.empty();
  for (const auto* topics : {&files, &plugins}) {
    for (const Topic& topic : *topics) {
      // The last word of a path alone will do: "cohort", "inner_learning_rate".
      if (!exact && !topic.alias && EndsWithKey(topic.title, key)) found.push_back(&topic);
    }
  }
  if (found.empty()) {
    const auto nearest = NearestName(key, names);
    return Error(ErrorCode::kInvalidArgument,
                 "there is no key or plug-in '" + std::string(key) + "'" +
                     (nearest ? "; did you mean '" + *nearest + "'?" : "") +
                     " `fedmeta explain` lists all.");
  }
  std::string text;
  for (const Topic* topic : found) text += (text.empty() ? "" : "\n") + Show(*topic, tables);
  return text;
}

}  // namespace fedmeta
