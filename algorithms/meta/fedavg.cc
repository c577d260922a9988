// Federated averaging (McMahan 2017, algorithm 1): w - w_i after local SGD on all examples of
// client i, weighted by their number up to maximum_weight. With server rate 1 and plain SGD the new
// w is the weighted mean of the w_i. Metrics are those of the batches of the last pass, each before
// its step.
#include <algorithm>

#include <ATen/ATen.h>

#include "fedmeta/algorithms/meta/meta_registry.h"
#include "fedmeta/algorithms/meta/task_mean.h"
#include "fedmeta/algorithms/models/plugin_settings.h"
#include "fedmeta/v1/algorithms.pb.h"

namespace fedmeta {
namespace {

class Fedavg final : public TaskMeanLearner {
 public:
  explicit Fedavg(v1::FedavgSettings settings) : settings_(std::move(settings)) {}

  std::optional<TaskOutcome> LearnTask(const TaskGradients& gradients, const at::Tensor& theta,
                                       const Task& task, Rng& rng) const override {
    const TaskSet& examples = task.support;
    const InnerResult inner = RunInnerLoop(gradients, theta, examples, LoopFor(examples.size()),
                                           &rng, /*with_curvature=*/false);
    if (inner.diverged) return std::nullopt;
    return TaskOutcome{
        .update = theta - inner.parameters, .sums = inner.last_pass, .adapted = inner.parameters};
  }

  double default_adaptation_rate() const override { return settings_.learning_rate(); }
  bool uses_site_labels() const override { return true; }
  double maximum_weight() const override { return settings_.maximum_weight(); }

 protected:
  /// A client's examples are its only task.
  std::uint32_t tasks_per_round() const override { return 1; }
  Result<Task> DrawTask(TaskSource& source, Rng& rng) const override {
    FEDMETA_ASSIGN_OR_RETURN(TaskSet examples, source.Examples(rng));
    return Task{.support = std::move(examples), .query = {}};
  }
  double ClientWeight(const Task& task) const override {
    return std::min(static_cast<double>(task.support.size()), settings_.maximum_weight());
  }
  InnerLoopOptions adaptation_loop() const override {
    return {.gradient_clip = settings_.gradient_clip()};
  }

 private:
  InnerLoopOptions LoopFor(std::int64_t examples) const {
    const std::int64_t batch = settings_.batch_size() > 0 ? settings_.batch_size() : examples;
    const std::int64_t batches = (examples + batch - 1) / std::max<std::int64_t>(1, batch);
    const std::int64_t steps =
        settings_.local_steps() > 0 ? settings_.local_steps() : batches * settings_.local_epochs();
    return {.learning_rate = settings_.learning_rate(),
            .steps = static_cast<std::uint32_t>(steps),
            .gradient_clip = settings_.gradient_clip(),
            .batch_size = settings_.batch_size()};
  }

  v1::FedavgSettings settings_;
};

}  // namespace

Result<std::unique_ptr<MetaLearner>> CreateFedavg(const google::protobuf::Any& any) {
  FEDMETA_ASSIGN_OR_RETURN(auto settings, ReadSettings<v1::FedavgSettings>(any));
  return std::unique_ptr<MetaLearner>(std::make_unique<Fedavg>(std::move(settings)));
}

}  // namespace fedmeta
