// Reptile (Nichol, Achiam, Schulman 2018, algorithm 1): theta - phi_K after K steps on the task's
// examples. Support and query are one set here: Reptile draws no line between them. With
// train_shots set, a task has that many support examples a class and its query set is only
// measured.
#include <ATen/ATen.h>

#include "fedmeta/algorithms/meta/meta_registry.h"
#include "fedmeta/algorithms/meta/task_mean.h"
#include "fedmeta/algorithms/models/plugin_settings.h"
#include "fedmeta/v1/algorithms.pb.h"

namespace fedmeta {
namespace {

class Reptile final : public TaskMeanLearner {
 public:
  explicit Reptile(const v1::ReptileSettings& settings)
      : loop_{.optimizer = settings.inner_optimizer() == "adam" ? InnerLoopOptions::Optimizer::kAdam
                                                                : InnerLoopOptions::Optimizer::kSgd,
              .learning_rate = settings.inner_learning_rate(),
              .steps = settings.adaptation_steps(),
              .gradient_clip = settings.gradient_clip(),
              .batch_size = settings.batch_size(),
              .proximal = settings.proximal()},
        scope_(ParseAdaptationScope(settings.adapts())),
        tasks_(settings.tasks_per_round()),
        train_shots_(settings.train_shots()) {}

  std::optional<TaskOutcome> LearnTask(const TaskGradients& gradients, const at::Tensor& theta,
                                       const Task& task, Rng& rng) const override {
    const TaskSet examples = train_shots_ > 0 ? task.support : Merge(task);
    const InnerResult inner =
        RunInnerLoop(gradients, theta, examples, loop_, &rng, KeepSteps::kNone);
    if (inner.diverged) return std::nullopt;
    return TaskOutcome{.update = theta - inner.parameters,
                       .sums = gradients.Measure(inner.parameters, task.query),
                       .adapted = inner.parameters};
  }

  double default_adaptation_rate() const override { return loop_.learning_rate; }

 protected:
  std::uint32_t tasks_per_round() const override { return tasks_; }
  Result<Task> DrawTask(TaskSource& source, Rng& rng) const override {
    return source.Draw(rng, train_shots_);
  }
  InnerLoopOptions adaptation_loop() const override {
    InnerLoopOptions loop = loop_;
    loop.scope = scope_;
    return loop;
  }

 private:
  static TaskSet Merge(const Task& task) {
    const bool weighted = task.support.weights.defined();
    return {
        .inputs = at::cat({task.support.inputs, task.query.inputs}),
        .targets = at::cat({task.support.targets, task.query.targets}),
        .weights = weighted ? at::cat({task.support.weights, task.query.weights}) : at::Tensor()};
  }

  InnerLoopOptions loop_;
  AdaptationScope scope_;
  std::uint32_t tasks_, train_shots_;
};

}  // namespace

Result<std::unique_ptr<MetaLearner>> CreateReptile(const google::protobuf::Any& any) {
  FEDMETA_ASSIGN_OR_RETURN(const auto settings, ReadSettings<v1::ReptileSettings>(any));
  return std::unique_ptr<MetaLearner>(std::make_unique<Reptile>(settings));
}

}  // namespace fedmeta
