#include "fedmeta/configs/loader.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "fedmeta/configs/binder.h"
#include "fedmeta/configs/experiment_checks.h"
#include "fedmeta/configs/overrides.h"
#include "fedmeta/configs/party_checks.h"
#include "fedmeta/configs/schema.h"
#include "fedmeta/configs/yaml_tree.h"
#include "fedmeta/core/file.h"
#include "fedmeta/core/text.h"

namespace fedmeta {
namespace {

/// A message that is bound, with everything that was wrong on the way.
template <typename Message>
struct Draft {
  Message message;
  SourceMap places;
  std::vector<Problem> problems;
  bool bound = false;
};

template <typename Message>
Draft<Message> Bind(const PluginTables& tables, const std::string& yaml,
                    const std::filesystem::path& file, std::span<const std::string> overrides) {
  Draft<Message> draft;
  draft.places.Set("", {file.string()});
  auto root = ParseYaml(yaml, {file.string()}, draft.problems);
  if (!root) return draft;
  // Overrides need a block to go into; that the file is none is said by the binder.
  if (root->IsMap()) ApplyOverrides(overrides, *root, draft.problems);
  const auto folder = std::filesystem::absolute(file).lexically_normal().parent_path();
  Binder(tables, folder, draft.places, draft.problems).BindFile(*root, draft.message);
  draft.bound = true;
  return draft;
}

/// How badly the keys fit a schema: unknown ones and missing required ones.
std::size_t Misfit(const YamlNode& root, const google::protobuf::Descriptor& schema) {
  std::size_t misfit = 0;
  for (const YamlEntry& entry : root.entries) {
    if (schema.FindFieldByName(entry.key) == nullptr) ++misfit;
  }
  for (const auto* field : AllFields(schema)) {
    if (KeyOf(*field).required() && root.Find(field->name()) == nullptr) ++misfit;
  }
  return misfit;
}

bool KnowsAnyKey(const YamlNode& root, const google::protobuf::Descriptor& schema) {
  return std::any_of(root.entries.begin(), root.entries.end(), [&](const YamlEntry& entry) {
    return schema.FindFieldByName(entry.key) != nullptr;
  });
}

}  // namespace

Result<Validated<v1::Experiment>> Loader::ParseExperiment(const std::string& yaml,
                                                          const std::filesystem::path& name,
                                                          std::span<const std::string> overrides,
                                                          RunKind kind) const {
  auto draft = Bind<v1::Experiment>(tables_, yaml, name, overrides);
  if (draft.bound) {
    FillDependentDefaults(draft.message, kind == RunKind::kLive);
    CheckExperiment(draft.message, draft.places, draft.problems);
  }
  if (!draft.problems.empty()) return ProblemsError(draft.problems);
  return Validated<v1::Experiment>(std::move(draft.message), std::move(draft.places), name);
}

Result<Validated<v1::Experiment>> Loader::LoadExperiment(const std::filesystem::path& file,
                                                         std::span<const std::string> overrides,
                                                         RunKind kind) const {
  FEDMETA_ASSIGN_OR_RETURN(const std::string yaml, ReadFile(file));
  return ParseExperiment(yaml, file, overrides, kind);
}

Result<Validated<v1::ClientFile>> Loader::LoadClient(const std::filesystem::path& file) const {
  FEDMETA_ASSIGN_OR_RETURN(const std::string yaml, ReadFile(file));
  auto draft = Bind<v1::ClientFile>(tables_, yaml, file, {});
  CheckClient(draft.message, draft.places, draft.problems);
  if (!draft.problems.empty()) return ProblemsError(draft.problems);
  return Validated<v1::ClientFile>(std::move(draft.message), std::move(draft.places), file);
}

Result<Validated<v1::CoordinatorFile>> Loader::LoadCoordinator(
    const std::filesystem::path& file) const {
  FEDMETA_ASSIGN_OR_RETURN(const std::string yaml, ReadFile(file));
  auto draft = Bind<v1::CoordinatorFile>(tables_, yaml, file, {});
  CheckCoordinator(draft.message, draft.places, draft.problems);
  if (!draft.problems.empty()) return ProblemsError(draft.problems);
  return Validated<v1::CoordinatorFile>(std::move(draft.message), std::move(draft.places), file);
}

Result<Loader::FileKind> Loader::GuessKind(const std::filesystem::path& file) const {
  FEDMETA_ASSIGN_OR_RETURN(const std::string yaml, ReadFile(file));
  std::vector<Problem> problems;
  const auto root = ParseYaml(yaml, {file.string()}, problems);
  if (!root) return ProblemsError(problems);
  const std::pair<FileKind, const google::protobuf::Descriptor*> kinds[] = {
      {FileKind::kExperiment, v1::Experiment::descriptor()},
      {FileKind::kClient, v1::ClientFile::descriptor()},
      {FileKind::kCoordinator, v1::CoordinatorFile::descriptor()}};
  std::optional<std::pair<std::size_t, FileKind>> best;
  for (const auto& [kind, schema] : kinds) {
    if (!KnowsAnyKey(*root, *schema)) continue;
    const std::size_t misfit = Misfit(*root, *schema);
    if (!best || misfit < best->first) best = {misfit, kind};
  }
  if (best) return best->second;
  return ProblemsError({{root->place,
                         "this is no experiment, client or coordinator file: it has none of their "
                         "keys; see `fedmeta explain`"}});
}

v1::Plugin ChooseAlternative(const v1::Plugin& plugin, std::size_t index) {
  v1::Plugin chosen = plugin;
  chosen.clear_alternatives();
  if (index > 0) {
    *chosen.mutable_settings() = plugin.alternatives(static_cast<int>(index) - 1);
  }
  return chosen;
}

}  // namespace fedmeta
