#include "fedmeta/algorithms/models/model_registry.h"

#include "fedmeta/core/text.h"

namespace fedmeta {

#define FEDMETA_MODEL(name, settings, factory) \
  Result<std::unique_ptr<Model>> factory(const google::protobuf::Any&, const ModelContext&);
#include "fedmeta/algorithms/models/registry.inc"
#undef FEDMETA_MODEL

ModelRegistry BuiltinModels() {
  ModelRegistry registry;
#define FEDMETA_MODEL(name, settings, factory) registry.emplace(#name, factory);
#include "fedmeta/algorithms/models/registry.inc"
#undef FEDMETA_MODEL
  return registry;
}

Result<std::unique_ptr<Model>> MakeModel(const ModelRegistry& registry, const v1::Plugin& choice,
                                         const ModelContext& context) {
  const auto found = registry.find(choice.name());
  if (found == registry.end()) {
    std::vector<std::string> names;
    for (const auto& [name, factory] : registry) names.push_back(name);
    return Error(ErrorCode::kInvalidArgument, "model.name must be one of " + Join(names, ", ") +
                                                  ", got '" + choice.name() + "'");
  }
  if (context.outputs < 1) {
    return Error(ErrorCode::kInvalidArgument,
                 "model: outputs must be >= 1, got " + std::to_string(context.outputs));
  }
  for (const std::int64_t extent : context.input_shape) {
    if (extent < 1) {
      return Error(ErrorCode::kInvalidArgument,
                   "model: each extent of input_shape must be >= 1, got " + std::to_string(extent));
    }
  }
  auto model = found->second(choice.settings(), context);
  if (!model.ok()) return model.error().WithContext("model " + choice.name());
  return model;
}

}  // namespace fedmeta
