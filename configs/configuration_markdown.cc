#include <map>
#include <vector>

#include "fedmeta/configs/explain.h"
#include "fedmeta/configs/key_listing.h"
#include "fedmeta/configs/schema.h"

namespace fedmeta {
namespace {

constexpr const char* kIntroduction = R"(# Configuration

Generated from the schema (`proto/fedmeta/v1/*.proto`); `fedmeta explain KEY` shows the same. A test compares this file with
the schema and rewrites it where the environment says `FEDMETA_UPDATE=1`.

- Unknown keys, wrong types and values out of bounds are errors with `file:line:column`; all are said at once.
- Truth values are `true` and `false`. Numbers are decimal; durations carry units: `90s`, `1h30m`, `500ms`, `2d`.
- A list of values may be written as one value.
- Relative paths resolve against the file; `${FEDMETA_DATA}` is the environment variable, else `../shared/data` beside the checkout.
- A plug-in is a block with a `name`; its keys stand beside it: `{name: maml, inner_learning_rate: 0.05}`.
- For the algorithm and the baselines a list for a key that takes one value is a grid: every combination is tried.
- On the command line `key.path=value` sets a key of an experiment; its relative paths resolve against the current folder.
)";

std::string Cell(const std::string& text) {
  std::string cell;
  for (const char c : text) cell += c == '|' ? "\\|" : std::string(1, c);
  return cell;
}

std::string CodeCell(const std::string& text) {
  return text.empty() || text == "required" ? text : "`" + Cell(text) + "`";
}

std::string Table(const std::vector<ListedKey>& keys, const PluginTables& tables) {
  if (keys.empty()) return "No keys.\n";
  std::string text = "| key | type | default | allowed | meaning |\n|---|---|---|---|---|\n";
  for (const ListedKey& key : keys) {
    text += "| `" + key.path + "` | " + TypeText(*key.field) + " | " +
            CodeCell(DefaultText(*key.field)) + " | " + Cell(AllowedText(*key.field, tables)) +
            " | " + Cell(DocText(*key.field)) + " |\n";
  }
  return text;
}

std::string Plugin(const std::string& name, const google::protobuf::Descriptor& settings,
                   const PluginTables& tables) {
  const v1::Summary& summary = SummaryOf(settings);
  std::string text = "### `" + name + "`\n\n" + summary.doc();
  if (!summary.source().empty()) text += " (" + summary.source() + ")";
  if (summary.baseline_only()) text += " Stands in `evaluation.baselines` only.";
  if (summary.individual_updates()) {
    text += " Stands in `privacy.secure_aggregation.mode: plain_robust` only.";
  }
  std::vector<ListedKey> keys;
  for (const auto* field : AllFields(settings)) keys.push_back({field->name(), field});
  return text + "\n\n" + Table(keys, tables);
}

}  // namespace

std::string ConfigurationMarkdown(const PluginTables& tables) {
  std::string text = kIntroduction;
  for (const ListedFile& file : ListFiles()) {
    text += "\n## The " + file.name + " file\n\n" + SummaryOf(*file.schema).doc() + "\n\n" +
            Table(ListKeys(*file.schema), tables);
  }
  const std::map<std::string, std::string> titles = {
      {"aggregation", "Aggregation rules"}, {"algorithm", "Algorithms"}, {"model", "Models"},
      {"optimizer", "Server optimisers"},   {"source", "Data sources"},  {"tasks", "Tasks"}};
  for (const auto& [table, plugins] : tables.tables) {
    const auto title = titles.find(table);
    text += "\n## " + (title == titles.end() ? "Plug-ins: " + table : title->second) + "\n";
    for (const auto& [name, settings] : plugins) text += "\n" + Plugin(name, *settings, tables);
  }
  return text;
}

}  // namespace fedmeta
