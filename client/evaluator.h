#pragma once

#include <span>
#include <vector>

#include "fedmeta/client/leg_runtime.h"
#include "fedmeta/client/trainer.h"
#include "fedmeta/core/metric_sums.h"
#include "fedmeta/core/result.h"
#include "fedmeta/core/worker_pool.h"
#include "fedmeta/v1/round.pb.h"

namespace fedmeta {

/// Where adaptation to one task starts: theta, except that a method which trains nothing starts
/// afresh, and that the head is new where the task's label set is not the one theta was trained
/// under (uses_site_labels). `stream` names the fresh initialisation; `relabels` as TaskGenerator
/// says.
std::vector<float> StartingParameters(const LegRuntime& leg, std::span<const float> state,
                                      bool relabels, const StreamName& stream);

/// Adapts to tasks of the asked part and measures on their query sets, cell by cell: shots x
/// learning_rates x steps, steps fastest. Every method and every round sees the same episodes of a
/// client: they are named by (seed, part, client, shots, episode) alone. A task whose adaptation
/// diverges before a step count is counted there as diverged and left out of the sums.
std::vector<Result<std::vector<MetricSums>>> EvaluateClients(
    const v1::Evaluate& evaluate, const LegRuntime& leg, const Objective& objective,
    const at::Device& device, std::span<const float> state, std::span<const LocalClient> clients,
    WorkerPool& pool);

}  // namespace fedmeta
