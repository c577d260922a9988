#pragma once

#include <memory>

#include "fedmeta/algorithms/server/aggregator.h"
#include "fedmeta/algorithms/server/server_optimizer.h"
#include "fedmeta/core/result.h"
#include "fedmeta/v1/server.pb.h"

namespace fedmeta {

// The factories that registry.inc names, each defined in its plug-in's .cc. Settings have every key
// set.
#define FEDMETA_AGGREGATION(name, Settings, Factory)                        \
  Result<std::unique_ptr<Aggregator>> Factory(const v1::Settings& settings, \
                                              const AggregatorContext& context);
#define FEDMETA_OPTIMIZER(name, Settings, Factory)                               \
  Result<std::unique_ptr<ServerOptimizer>> Factory(const v1::Settings& settings, \
                                                   const OptimizerContext& context);
#include "fedmeta/algorithms/server/registry.inc"
#undef FEDMETA_AGGREGATION
#undef FEDMETA_OPTIMIZER

}  // namespace fedmeta
