#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include <google/protobuf/any.pb.h>

#include "fedmeta/algorithms/meta/meta_learner.h"
#include "fedmeta/core/result.h"
#include "fedmeta/v1/plugin.pb.h"

namespace fedmeta {

using MetaLearnerFactory =
    std::function<Result<std::unique_ptr<MetaLearner>>(const google::protobuf::Any& settings)>;
/// By name; a value handed to main, so that a consumer adds its own.
using MetaLearnerRegistry = std::map<std::string, MetaLearnerFactory>;

/// The algorithms of registry.inc.
MetaLearnerRegistry BuiltinMetaLearners();
/// `choice` needs name and settings only; absent settings mean defaults.
Result<std::unique_ptr<MetaLearner>> MakeMetaLearner(const MetaLearnerRegistry& registry,
                                                     const v1::Plugin& choice);

}  // namespace fedmeta
