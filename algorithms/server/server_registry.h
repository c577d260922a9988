#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include <google/protobuf/any.pb.h>

#include "fedmeta/algorithms/server/aggregator.h"
#include "fedmeta/algorithms/server/server_optimizer.h"
#include "fedmeta/core/result.h"
#include "fedmeta/v1/plugin.pb.h"

namespace fedmeta {

using AggregatorFactory = std::function<Result<std::unique_ptr<Aggregator>>(
    const google::protobuf::Any& settings, const AggregatorContext&)>;
using OptimizerFactory = std::function<Result<std::unique_ptr<ServerOptimizer>>(
    const google::protobuf::Any& settings, const OptimizerContext&)>;

/// By name; values handed to main, so that a consumer adds its own.
struct ServerRegistry {
  std::map<std::string, AggregatorFactory> aggregations;
  std::map<std::string, OptimizerFactory> optimizers;
};

ServerRegistry BuiltinServer();
Result<std::unique_ptr<Aggregator>> MakeAggregator(const ServerRegistry& registry,
                                                   const v1::Plugin& choice,
                                                   const AggregatorContext& context);
Result<std::unique_ptr<ServerOptimizer>> MakeOptimizer(const ServerRegistry& registry,
                                                       const v1::Plugin& choice,
                                                       const OptimizerContext& context);

}  // namespace fedmeta
