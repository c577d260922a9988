// First-order MAML (Finn 2017, section 5.2): grad L_Q at phi_K, as if phi_K did not depend on
// theta.
#include <ATen/ATen.h>

#include "fedmeta/algorithms/meta/meta_registry.h"
#include "fedmeta/algorithms/meta/task_mean.h"
#include "fedmeta/algorithms/models/plugin_settings.h"
#include "fedmeta/v1/algorithms.pb.h"

namespace fedmeta {
namespace {

class Fomaml final : public TaskMeanLearner {
 public:
  explicit Fomaml(const v1::FomamlSettings& settings)
      : loop_{.learning_rate = settings.inner_learning_rate(),
              .steps = settings.adaptation_steps(),
              .gradient_clip = settings.gradient_clip()},
        tasks_(settings.tasks_per_round()),
        outer_clip_(settings.outer_gradient_clip()) {}

  std::optional<TaskOutcome> LearnTask(const TaskGradients& gradients, const at::Tensor& theta,
                                       const Task& task, Rng& rng) const override {
    const InnerResult inner =
        RunInnerLoop(gradients, theta, task.support, loop_, &rng, /*with_curvature=*/false);
    if (inner.diverged) return std::nullopt;
    LossGradient query = gradients.Compute(inner.parameters, task.query, /*with_curvature=*/false);
    if (outer_clip_ > 0) query.gradient = query.gradient.clamp(-outer_clip_, outer_clip_);
    return TaskOutcome{query.gradient, query.sums};
  }

  double default_adaptation_rate() const override { return loop_.learning_rate; }

 protected:
  std::uint32_t tasks_per_round() const override { return tasks_; }
  InnerLoopOptions adaptation_loop() const override {
    return {.gradient_clip = loop_.gradient_clip};
  }

 private:
  InnerLoopOptions loop_;
  std::uint32_t tasks_;
  double outer_clip_;
};

}  // namespace

Result<std::unique_ptr<MetaLearner>> CreateFomaml(const google::protobuf::Any& any) {
  FEDMETA_ASSIGN_OR_RETURN(const auto settings, ReadSettings<v1::FomamlSettings>(any));
  return std::unique_ptr<MetaLearner>(std::make_unique<Fomaml>(settings));
}

}  // namespace fedmeta
