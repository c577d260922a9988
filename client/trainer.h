#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "fedmeta/client/data/task_generator.h"
#include "fedmeta/client/leg_runtime.h"
#include "fedmeta/core/bytes.h"
#include "fedmeta/core/result.h"
#include "fedmeta/core/worker_pool.h"
#include "fedmeta/protocol/round_plan.h"

namespace fedmeta {

/// One client as training sees it; both borrowed.
struct LocalClient {
  std::string name;
  TaskGenerator* tasks = nullptr;
};

/// Does what a plan asks, for several clients at once, and returns each one's upload (ContributionCodec's wire form).
/// A live client passes itself; a simulation passes a part of the cohort. The bytes do not depend on the grouping or the pool.
/// One client's failure is that entry's error.
std::vector<Result<Bytes>> ExecutePlan(const RoundPlan& plan, const LegRuntime& leg, std::span<const float> state,
                                       std::span<const LocalClient> clients, WorkerPool& pool);

}  // namespace fedmeta
