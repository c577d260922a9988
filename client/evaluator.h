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

/// One task of a client and where adaptation to it starts: theta, except that a method which trains
/// nothing starts afresh, and that the head is new where the task's labels are not those theta was
/// trained under.
struct Episode {
  Task task;
  std::vector<float> start;
  std::vector<std::int64_t> codes;  ///< as TaskExamples says
  TaskExamples drawn;               ///< where the task comes from; without the examples themselves
  /// Running statistics that the adapted model meets the query set with; undefined where there are
  /// none.
  at::Tensor statistics;
};

/// Every method and every round sees the same episodes of a client: they are named by (seed, part,
/// client, shots, number) alone.
Result<Episode> DrawEpisode(const LegRuntime& leg, std::span<const float> state,
                            const LocalClient& client, v1::Part part, std::uint32_t shots,
                            std::uint32_t number, const at::Device& device);
/// Statistics of normalisation for the query set at the adapted parameters: the running ones; where
/// there are none, those of the support set at these parameters (batch models that are not to be
/// transductive, a site that keeps none of its own yet, a method that trains nothing). Undefined
/// where the query set's own are used (transductive) or the model has none.
at::Tensor QueryStatistics(const LegRuntime& leg, const TaskGradients& gradients,
                           const Episode& episode, const at::Tensor& parameters);
/// All figures of the adapted parameters on the query set; `tasks` and what FinishClient sets stay
/// 0.
MetricSums MeasureEpisode(const LegRuntime& leg, const Objective& objective,
                          const TaskGradients& gradients, const Episode& episode,
                          const at::Tensor& parameters);
/// Gradients of the model that tasks are learned with, for this state of the leg.
std::unique_ptr<TaskGradients> MakeLegGradients(const LegRuntime& leg, const Objective& objective,
                                                std::span<const float> state,
                                                const at::Device& device);
/// The stream that adaptation to that episode draws batches from.
Rng AdaptationStream(const LegRuntime& leg, const std::string& client, v1::Part part,
                     std::uint32_t shots, std::uint32_t number);

/// Adapts to tasks of the asked part and measures on their query sets, cell by cell: shots x
/// learning_rates x steps, steps fastest. Every method and every round sees the same episodes of a
/// client: they are named by (seed, part, client, shots, episode) alone. A task whose adaptation
/// diverges before a step count is counted there as diverged and left out of the sums.
std::vector<Result<std::vector<MetricSums>>> EvaluateClients(
    const v1::Evaluate& evaluate, const LegRuntime& leg, const Objective& objective,
    const at::Device& device, std::span<const float> state, std::span<const LocalClient> clients,
    WorkerPool& pool);

}  // namespace fedmeta
