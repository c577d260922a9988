#include "fedmeta/algorithms/meta/meta_registry.h"

#include "fedmeta/core/text.h"

namespace fedmeta {

#define FEDMETA_ALGORITHM(name, settings, factory) \
  Result<std::unique_ptr<MetaLearner>> factory(const google::protobuf::Any&);
#include "fedmeta/algorithms/meta/registry.inc"
#undef FEDMETA_ALGORITHM

MetaLearnerRegistry BuiltinMetaLearners() {
  MetaLearnerRegistry registry;
#define FEDMETA_ALGORITHM(name, settings, factory) registry.emplace(#name, factory);
#include "fedmeta/algorithms/meta/registry.inc"
#undef FEDMETA_ALGORITHM
  return registry;
}

Result<std::unique_ptr<MetaLearner>> MakeMetaLearner(const MetaLearnerRegistry& registry,
                                                     const v1::Plugin& choice) {
  const auto found = registry.find(choice.name());
  if (found == registry.end()) {
    std::vector<std::string> names;
    for (const auto& [name, factory] : registry) names.push_back(name);
    return Error(ErrorCode::kInvalidArgument, "algorithm.name must be one of " + Join(names, ", ") +
                                                  ", got '" + choice.name() + "'");
  }
  auto learner = found->second(choice.settings());
  if (!learner.ok()) return learner.error().WithContext("algorithm " + choice.name());
  return learner;
}

}  // namespace fedmeta
