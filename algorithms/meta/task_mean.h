#pragma once

#include <optional>

#include "fedmeta/algorithms/meta/theta_learner.h"

namespace fedmeta {

/// What one task gave.
struct TaskOutcome {
  at::Tensor update;  ///< flat [P + R], float32: of theta, then of learned step sizes
  MetricSums sums;    ///< examples, summed loss, correct after adaptation
  /// phi_K, flat [P]: where the statistics of the task are taken, if the model has running ones.
  at::Tensor adapted;
};

/// An algorithm whose update is the mean over a client's tasks of something that one task gives
/// alone. Subclasses are that something. Tasks spread over the pool one by one; sums run in task
/// order, so neither threads nor grouping show in the result.
///
/// Running statistics move by those of the round (MoveStatistics): the mean over its tasks of what
/// the query set, or without one the support set, has at phi_K, where they will be used.
class TaskMeanLearner : public ThetaLearner {
 public:
  std::vector<Result<ClientUpdate>> ComputeUpdates(const LearnContext& context,
                                                   std::span<const float> state,
                                                   std::span<ClientWork> work) const final;

  /// Nothing where the inner loop diverged. May throw. `learned`: flat [P + R], theta and behind it
  /// the learned step sizes, where there are any. `rng` is the task's own stream.
  virtual std::optional<TaskOutcome> LearnTask(const TaskGradients& gradients,
                                               const at::Tensor& learned, const Task& task,
                                               Rng& rng) const = 0;

 protected:
  virtual std::uint32_t tasks_per_round() const = 0;
  virtual Result<Task> DrawTask(TaskSource& source, Rng& rng) const { return source.Draw(rng); }
  /// Of a client, from any of its tasks.
  virtual double ClientWeight(const Task& task) const;
};

}  // namespace fedmeta
