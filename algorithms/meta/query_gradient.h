#pragma once

#include "fedmeta/algorithms/meta/task_mean.h"

namespace fedmeta {

/// MAML's family: adapt to the support set, take the gradient of the query loss at phi_K, and send
/// what it comes to at theta. Subclasses say how it gets there.
class QueryGradientLearner : public TaskMeanLearner {
 public:
  std::optional<TaskOutcome> LearnTask(const TaskGradients& gradients, const at::Tensor& theta,
                                       const Task& task, Rng& rng) const final;
  double default_adaptation_rate() const final { return loop_.learning_rate; }

 protected:
  /// v1::MamlSettings, or any that has its keys.
  template <typename Settings>
  explicit QueryGradientLearner(const Settings& settings)
      : loop_{.learning_rate = settings.inner_learning_rate(),
              .steps = settings.adaptation_steps(),
              .gradient_clip = settings.gradient_clip()},
        tasks_(settings.tasks_per_round()),
        outer_clip_(settings.outer_gradient_clip()) {}

  virtual bool needs_curvature() const = 0;
  /// The gradient at phi_K taken back to theta through the steps of `inner`.
  virtual at::Tensor BackToTheta(const InnerResult& inner, const InnerLoopOptions& loop,
                                 const at::Tensor& gradient) const = 0;

  std::uint32_t tasks_per_round() const final { return tasks_; }
  InnerLoopOptions adaptation_loop() const final { return {.gradient_clip = loop_.gradient_clip}; }

 private:
  InnerLoopOptions loop_;
  std::uint32_t tasks_;
  double outer_clip_;
};

}  // namespace fedmeta
