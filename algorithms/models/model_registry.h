#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include <google/protobuf/any.pb.h>

#include "fedmeta/algorithms/models/model.h"
#include "fedmeta/core/result.h"
#include "fedmeta/v1/plugin.pb.h"

namespace fedmeta {

using ModelFactory = std::function<Result<std::unique_ptr<Model>>(
    const google::protobuf::Any& settings, const ModelContext&)>;
/// By name; a value handed to main, so that a consumer adds its own.
using ModelRegistry = std::map<std::string, ModelFactory>;

/// The models of registry.inc.
ModelRegistry BuiltinModels();
/// `choice` needs only name and settings; absent settings mean defaults. Errors: unknown name, bad
/// settings or context.
Result<std::unique_ptr<Model>> MakeModel(const ModelRegistry& registry, const v1::Plugin& choice,
                                         const ModelContext& context);

}  // namespace fedmeta
