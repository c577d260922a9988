#include "fedmeta/algorithms/server/server_registry.h"

#include <vector>

#include "fedmeta/algorithms/server/factories.h"
#include "fedmeta/algorithms/server/settings.h"
#include "fedmeta/core/text.h"

namespace fedmeta {
namespace {

template <typename Factory>
Result<Factory> Find(const std::map<std::string, Factory>& table, const std::string& kind,
                     const std::string& name) {
  if (const auto found = table.find(name); found != table.end()) return found->second;
  std::vector<std::string> names;
  for (const auto& [known, factory] : table) names.push_back(known);
  const auto nearest = NearestName(name, names);
  return Error(ErrorCode::kInvalidArgument,
               "unknown " + kind + " '" + name + "'; " +
                   (nearest ? "did you mean '" + *nearest + "'?" : "known: " + Join(names, ", ")));
}

}  // namespace

ServerRegistry BuiltinServer() {
  ServerRegistry registry;
#define FEDMETA_AGGREGATION(name, Settings, Factory)                                \
  registry.aggregations[#name] =                                                    \
      [](const google::protobuf::Any& packed,                                       \
         const AggregatorContext& context) -> Result<std::unique_ptr<Aggregator>> { \
    v1::Settings settings;                                                          \
    FEDMETA_RETURN_IF_ERROR(ReadSettings(packed, settings));                        \
    return Factory(settings, context);                                              \
  };
#define FEDMETA_OPTIMIZER(name, Settings, Factory)                                      \
  registry.optimizers[#name] =                                                          \
      [](const google::protobuf::Any& packed,                                           \
         const OptimizerContext& context) -> Result<std::unique_ptr<ServerOptimizer>> { \
    v1::Settings settings;                                                              \
    FEDMETA_RETURN_IF_ERROR(ReadSettings(packed, settings));                            \
    return Factory(settings, context);                                                  \
  };
#include "fedmeta/algorithms/server/registry.inc"
#undef FEDMETA_AGGREGATION
#undef FEDMETA_OPTIMIZER
  return registry;
}

Result<std::unique_ptr<Aggregator>> MakeAggregator(const ServerRegistry& registry,
                                                   const v1::Plugin& choice,
                                                   const AggregatorContext& context) {
  FEDMETA_ASSIGN_OR_RETURN(const auto factory,
                           Find(registry.aggregations, "aggregation", choice.name()));
  auto made = factory(choice.settings(), context);
  if (!made.ok()) return made.error().WithContext("aggregation " + choice.name());
  return made;
}

Result<std::unique_ptr<ServerOptimizer>> MakeOptimizer(const ServerRegistry& registry,
                                                       const v1::Plugin& choice,
                                                       const OptimizerContext& context) {
  FEDMETA_ASSIGN_OR_RETURN(const auto factory,
                           Find(registry.optimizers, "optimizer", choice.name()));
  auto made = factory(choice.settings(), context);
  if (!made.ok()) return made.error().WithContext("optimizer " + choice.name());
  return made;
}

}  // namespace fedmeta
