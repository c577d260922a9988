#include "fedmeta/algorithms/meta/query_gradient.h"

#include <ATen/ATen.h>

namespace fedmeta {

std::optional<TaskOutcome> QueryGradientLearner::LearnTask(const TaskGradients& gradients,
                                                           const at::Tensor& learned,
                                                           const Task& task, Rng& rng) const {
  const Model& model = gradients.model();
  const auto parameters = static_cast<std::int64_t>(ParameterCount(model));
  const bool learns_rates = learned.numel() > parameters;
  const at::Tensor theta = learned.narrow(0, 0, parameters);
  InnerLoopOptions loop = loop_;
  if (learns_rates)
    loop.rate_scale =
        rates_.Scale(model, learned.narrow(0, parameters, learned.numel() - parameters));
  const KeepSteps keep =
      keep_steps() == KeepSteps::kNone && learns_rates ? KeepSteps::kGradients : keep_steps();
  const InnerResult inner = RunInnerLoop(gradients, theta, task.support, loop, &rng, keep);
  if (inner.diverged) return std::nullopt;
  const LossGradient query =
      gradients.Compute(inner.parameters, task.query, /*with_curvature=*/false);
  const InnerGradient back = BackThroughInnerLoop(inner, loop, query.gradient);
  at::Tensor update = back.theta;
  if (learns_rates)
    update = at::cat({update, rates_.Gradient(model, loop.rate_scale, back.rate_scale)});
  if (outer_clip_ > 0) update = update.clamp(-outer_clip_, outer_clip_);
  return TaskOutcome{.update = update, .sums = query.sums, .adapted = inner.parameters};
}

}  // namespace fedmeta
