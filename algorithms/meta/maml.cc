// MAML (Finn, Abbeel, Levine 2017, "Model-agnostic meta-learning", eq. 1): the exact gradient of
// L_Q(phi_K(theta)). phi_{k+1} = phi_k - alpha grad L_S(phi_k), so d phi_{k+1} / d phi_k = I -
// alpha H_S(phi_k), symmetric: v_K = grad L_Q(phi_K), v_k = v_{k+1} - alpha H_S(phi_k) v_{k+1}, and
// v_0 is sent.
#include <ATen/ATen.h>

#include "fedmeta/algorithms/meta/meta_registry.h"
#include "fedmeta/algorithms/meta/task_mean.h"
#include "fedmeta/algorithms/models/plugin_settings.h"
#include "fedmeta/v1/algorithms.pb.h"

namespace fedmeta {
namespace {

class Maml final : public TaskMeanLearner {
 public:
  explicit Maml(const v1::MamlSettings& settings)
      : loop_{.learning_rate = settings.inner_learning_rate(),
              .steps = settings.adaptation_steps(),
              .gradient_clip = settings.gradient_clip()},
        tasks_(settings.tasks_per_round()),
        outer_clip_(settings.outer_gradient_clip()) {}

  std::optional<TaskOutcome> LearnTask(const TaskGradients& gradients, const at::Tensor& theta,
                                       const Task& task, Rng& rng) const override {
    const InnerResult inner =
        RunInnerLoop(gradients, theta, task.support, loop_, &rng, /*with_curvature=*/true);
    if (inner.diverged) return std::nullopt;
    const LossGradient query =
        gradients.Compute(inner.parameters, task.query, /*with_curvature=*/false);
    at::Tensor update = BackThroughInnerLoop(inner, loop_, query.gradient);
    if (outer_clip_ > 0) update = update.clamp(-outer_clip_, outer_clip_);
    return TaskOutcome{update, query.sums};
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

Result<std::unique_ptr<MetaLearner>> CreateMaml(const google::protobuf::Any& any) {
  FEDMETA_ASSIGN_OR_RETURN(const auto settings, ReadSettings<v1::MamlSettings>(any));
  return std::unique_ptr<MetaLearner>(std::make_unique<Maml>(settings));
}

}  // namespace fedmeta
