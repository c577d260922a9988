#include "fedmeta/algorithms/meta/query_gradient.h"

#include <ATen/ATen.h>

namespace fedmeta {

std::optional<TaskOutcome> QueryGradientLearner::LearnTask(const TaskGradients& gradients,
                                                           const at::Tensor& theta,
                                                           const Task& task, Rng& rng) const {
  const InnerResult inner =
      RunInnerLoop(gradients, theta, task.support, loop_, &rng, needs_curvature());
  if (inner.diverged) return std::nullopt;
  const LossGradient query =
      gradients.Compute(inner.parameters, task.query, /*with_curvature=*/false);
  at::Tensor update = BackToTheta(inner, loop_, query.gradient);
  if (outer_clip_ > 0) update = update.clamp(-outer_clip_, outer_clip_);
  return TaskOutcome{.update = update, .sums = query.sums, .adapted = inner.parameters};
}

}  // namespace fedmeta
