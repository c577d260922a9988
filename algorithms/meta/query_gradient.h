#pragma once

#include "fedmeta/algorithms/meta/task_mean.h"

namespace fedmeta {

/// MAML's family: adapt to the support set, take the gradient of the query loss at phi_K, and send
/// what it comes to at theta, and in the learned step sizes. Subclasses say how exactly.
class QueryGradientLearner : public TaskMeanLearner {
 public:
  std::optional<TaskOutcome> LearnTask(const TaskGradients& gradients, const at::Tensor& learned,
                                       const Task& task, Rng& rng) const final;
  double default_adaptation_rate() const final { return loop_.learning_rate; }

 protected:
  /// v1::MamlSettings, or any that has its keys.
  template <typename Settings>
  explicit QueryGradientLearner(const Settings& settings)
      : loop_{.learning_rate = settings.inner_learning_rate(),
              .steps = settings.adaptation_steps(),
              .gradient_clip = settings.gradient_clip(),
              .proximal = settings.proximal(),
              .scope = ParseAdaptationScope(settings.adapts())},
        rates_(settings.learn_inner_learning_rate(), settings.adaptation_steps()),
        tasks_(settings.tasks_per_round()),
        outer_clip_(settings.outer_gradient_clip()) {}

  /// What the way back to theta needs: curvature for the exact gradient; nothing for that at phi_K,
  /// as if phi_K did not depend on theta.
  virtual KeepSteps keep_steps() const = 0;

  std::uint32_t tasks_per_round() const final { return tasks_; }
  InnerLoopOptions adaptation_loop() const final { return loop_; }
  LearnedRates learned_rates() const final { return rates_; }

 private:
  InnerLoopOptions loop_;
  LearnedRates rates_;
  std::uint32_t tasks_;
  double outer_clip_;
};

}  // namespace fedmeta
