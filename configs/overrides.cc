#include "fedmeta/configs/overrides.h"

#include <charconv>
#include <optional>
#include <string_view>
#include <utility>

namespace fedmeta {
namespace {

/// One step of a path: into a block by key, or into a list by index.
struct Step {
  std::string key;
  std::optional<std::size_t> index;
};

/// "a.b[1].c" -> a, b, [1], c.
std::optional<std::vector<Step>> ParsePath(std::string_view path) {
  std::vector<Step> steps;
  while (true) {
    const std::size_t end = path.find_first_of(".[");
    if (end == 0 || path.empty()) return std::nullopt;
    steps.push_back({std::string(path.substr(0, end)), std::nullopt});
    path = end == std::string_view::npos ? std::string_view() : path.substr(end);
    while (!path.empty() && path[0] == '[') {
      std::size_t index = 0;
      const auto parsed = std::from_chars(path.data() + 1, path.data() + path.size(), index);
      if (parsed.ec != std::errc() || parsed.ptr == path.data() + path.size() ||
          *parsed.ptr != ']') {
        return std::nullopt;
      }
      steps.push_back({"", index});
      path.remove_prefix(static_cast<std::size_t>(parsed.ptr + 1 - path.data()));
    }
    if (path.empty()) return steps;
    if (path[0] != '.') return std::nullopt;
    path.remove_prefix(1);
  }
}

/// The node that the steps lead to, made where blocks are missing; otherwise why there is none.
Result<YamlNode*> Reach(YamlNode& root, const std::vector<Step>& steps, const Place& place) {
  YamlNode* node = &root;
  std::string reached;
  for (const Step& step : steps) {
    if (step.index) {
      if (!node->IsSequence()) {
        return Error(ErrorCode::kInvalidArgument, reached + " is no list but " + node->Describe());
      }
      if (*step.index >= node->items.size()) {
        return Error(ErrorCode::kInvalidArgument,
                     reached + " has " + std::to_string(node->items.size()) +
                         " elements, counted from 0, got [" + std::to_string(*step.index) + "]");
      }
      node = &node->items[*step.index];
      reached += "[" + std::to_string(*step.index) + "]";
      continue;
    }
    if (!node->IsMap()) {
      return Error(ErrorCode::kInvalidArgument,
                   reached + " has no keys, it is " + node->Describe());
    }
    YamlEntry* entry = node->Find(step.key);
    if (entry == nullptr) {
      YamlNode block;
      block.kind = YamlNode::Kind::kMap;
      block.place = place;
      node->entries.push_back({step.key, place, std::move(block)});
      entry = &node->entries.back();
    }
    node = &entry->value;
    reached += (reached.empty() ? "" : ".") + step.key;
  }
  return node;
}

}  // namespace

Place ArgumentPlace(std::size_t number) { return {"argument " + std::to_string(number)}; }

void ApplyOverrides(std::span<const std::string> arguments, YamlNode& root,
                    std::vector<Problem>& problems) {
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string& argument = arguments[i];
    const Place place = ArgumentPlace(i + 1);
    const std::size_t equals = argument.find('=');
    const auto steps = ParsePath(std::string_view(argument).substr(0, equals));
    if (equals == std::string::npos || !steps) {
      problems.push_back(
          {place, "must be key.path=value, such as federation.rounds=50, got '" + argument + "'"});
      continue;
    }
    if (argument.find_first_not_of(" \t\n", equals + 1) == std::string::npos) {
      problems.push_back({place, argument.substr(0, equals) + " has no value after '='"});
      continue;
    }
    auto value = ParseYaml(argument.substr(equals + 1), {place.file, false}, problems);
    if (!value) continue;
    const auto target = Reach(root, *steps, place);
    if (!target.ok()) {
      problems.push_back({place, target.error().message()});
      continue;
    }
    **target = std::move(*value);
  }
}

}  // namespace fedmeta
