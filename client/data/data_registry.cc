#include <optional>
#include <utility>

#include "fedmeta/client/data/factories.h"
#include "fedmeta/client/data/source.h"
#include "fedmeta/client/data/table_builder.h"
#include "fedmeta/core/text.h"

namespace fedmeta {
namespace {

template <typename Message>
Result<Message> Unpack(const google::protobuf::Any& settings, const std::string& name) {
  Message message;
  if (settings.type_url().empty() && settings.value().empty()) return message;
  if (!settings.UnpackTo(&message)) {
    return Error(ErrorCode::kInvalidArgument, "settings of " + name + " are a '" +
                                                  settings.type_url() + "', expected a " +
                                                  Message::descriptor()->full_name());
  }
  return message;
}

template <typename Factories>
Error UnknownPlugin(const std::string& key, const std::string& name, const Factories& known) {
  std::vector<std::string> names;
  for (const auto& [each, factory] : known) names.push_back(each);
  std::string text = key + ".name '" + name + "' is unknown; known: " + Join(names, ", ");
  if (const std::optional<std::string> nearest = NearestName(name, names)) {
    text += "; did you mean " + *nearest + "?";
  }
  return {ErrorCode::kInvalidArgument, text};
}

}  // namespace

DataRegistry BuiltinData() {
  DataRegistry registry;
#define FEDMETA_SOURCE(name, message, factory)                                             \
  registry.sources[#name] = [](const google::protobuf::Any& any) -> Result<OpenedSource> { \
    FEDMETA_ASSIGN_OR_RETURN(const v1::message settings, Unpack<v1::message>(any, #name)); \
    return factory(settings);                                                              \
  };
#define FEDMETA_TASKS(name, message, factory)                                                \
  registry.tasks[#name] = [](const google::protobuf::Any& any, DatasetView view,             \
                             const std::string& client,                                      \
                             std::uint64_t seed) -> Result<std::unique_ptr<TaskGenerator>> { \
    FEDMETA_ASSIGN_OR_RETURN(const v1::message settings, Unpack<v1::message>(any, #name));   \
    return factory(settings, std::move(view), client, seed);                                 \
  };
#define FEDMETA_SOURCE_TASKS(name, message)
#include "fedmeta/client/data/registry.inc"
#undef FEDMETA_SOURCE
#undef FEDMETA_TASKS
#undef FEDMETA_SOURCE_TASKS
  return registry;
}

v1::Role RoleOf(const v1::SiteData& site) {
  if (site.role() == "holdout") return v1::ROLE_HOLDOUT;
  return site.role() == "validation" ? v1::ROLE_VALIDATION : v1::ROLE_TRAIN;
}

Result<OpenedSource> OpenSource(const DataRegistry& registry, const v1::Plugin& choice) {
  const auto found = registry.sources.find(choice.name());
  if (found == registry.sources.end()) {
    return UnknownPlugin("source", choice.name(), registry.sources);
  }
  return found->second(choice.settings());
}

Result<OpenedSource> OpenSite(const DataRegistry& registry, const v1::SiteData& site,
                              const v1::Resources& resources) {
  FEDMETA_ASSIGN_OR_RETURN(OpenedSource opened, OpenSource(registry, site.source()));
  if (!opened.table) return opened;
  RawTable table = *opened.table;
  table.site = site;
  if (resources.has_memory_mib()) {
    table.memory_bytes = std::uint64_t{resources.memory_mib()} << 20U;
  }
  opened.table = std::make_shared<const RawTable>(std::move(table));
  return opened;
}

Result<OpenedSource> ReadTable(OpenedSource source, const v1::Dictionary& dictionary) {
  if (!source.table) {
    if (dictionary.features().empty()) return source;
    return Error(ErrorCode::kInvalidArgument,
                 "the experiment has data.features, but this source has no columns; use csv or "
                 "command");
  }
  FEDMETA_ASSIGN_OR_RETURN(auto dataset, BuildUsableTable(*source.table, dictionary));
  return TableAsSource(std::move(dataset));
}

OpenedSource TableAsSource(std::shared_ptr<const Dataset> dataset) {
  OpenedSource read;
  read.input_shape = dataset->example_shape();
  read.fingerprint = dataset->fingerprint();
  read.dataset = std::move(dataset);
  return read;
}

Result<std::unique_ptr<TaskGenerator>> MakeTaskGenerator(
    const DataRegistry& registry, const v1::Plugin& tasks, const OpenedSource& source,
    const DatasetView* view, const std::string& client, std::uint64_t seed) {
  const auto found = registry.tasks.find(tasks.name());
  if (source.table) {
    return Error(ErrorCode::kInvalidArgument, "a table needs data.features in the experiment");
  }
  if (!source.dataset) {
    if (found != registry.tasks.end()) {
      return Error(ErrorCode::kInvalidArgument,
                   "tasks.name '" + tasks.name() +
                       "' draws from a table, but this source is a family of functions; "
                       "use {name: regression}");
    }
    return source.generator(tasks, client, seed);
  }
  if (found == registry.tasks.end()) {
    Error unknown = UnknownPlugin("tasks", tasks.name(), registry.tasks);
    return unknown.WithContext("this source is a table");
  }
  return found->second(tasks.settings(), view != nullptr ? *view : WholeView(source.dataset),
                       client, seed);
}

Status CanTakePart(const TaskGenerator& tasks, v1::Role role, const v1::Evaluation& evaluation) {
  if (role == v1::ROLE_TRAIN) FEDMETA_RETURN_IF_ERROR(tasks.CanDraw(DataPart::kTrain, 0));
  const DataPart part = role == v1::ROLE_HOLDOUT ? DataPart::kTest : DataPart::kValidation;
  for (const std::uint32_t shots : evaluation.shots())
    FEDMETA_RETURN_IF_ERROR(tasks.CanDraw(part, shots));
  return {};
}

Status CanTakePart(const DataRegistry& registry, const v1::Experiment& experiment,
                   const OpenedSource& source, const std::string& client, v1::Role role) {
  FEDMETA_ASSIGN_OR_RETURN(const auto tasks,
                           MakeTaskGenerator(registry, experiment.data().tasks(), source, nullptr,
                                             client, experiment.seed()));
  return CanTakePart(*tasks, role, experiment.evaluation());
}

DatasetView WholeView(std::shared_ptr<const Dataset> dataset) {
  auto rows = WholeRows(dataset->size());
  return {.dataset = std::move(dataset), .rows = std::move(rows)};
}

}  // namespace fedmeta
