// Federated averaging (McMahan 2017, algorithm 1): w - w_i after local SGD on all examples of
// client i, weighted by their number up to maximum_weight. With server rate 1 and plain SGD the new
// w is the weighted mean of the w_i. Metrics are those of the batches of the last pass, each before
// its step. With `proximal` local SGD is that of FedProx (Li 2020).
//
// `pooled` is the same training where one client has the rows of all: what could be reached if data
// could be brought together.
#include <algorithm>
#include <type_traits>

#include <ATen/ATen.h>

#include "fedmeta/algorithms/meta/meta_registry.h"
#include "fedmeta/algorithms/meta/task_mean.h"
#include "fedmeta/algorithms/models/plugin_settings.h"
#include "fedmeta/v1/algorithms.pb.h"

namespace fedmeta {
namespace {

/// v1::FedavgSettings or v1::PooledSettings, which has the same keys.
template <typename Settings>
class Fedavg final : public TaskMeanLearner {
 public:
  explicit Fedavg(Settings settings) : settings_(std::move(settings)) {}

  std::optional<TaskOutcome> LearnTask(const TaskGradients& gradients, const at::Tensor& theta,
                                       const Task& task, Rng& rng) const override {
    const TaskSet& examples = task.support;
    const InnerResult inner =
        RunInnerLoop(gradients, theta, examples, LoopFor(examples.size()), &rng, KeepSteps::kNone);
    if (inner.diverged) return std::nullopt;
    return TaskOutcome{
        .update = theta - inner.parameters, .sums = inner.last_pass, .adapted = inner.parameters};
  }

  double default_adaptation_rate() const override { return settings_.learning_rate(); }
  bool uses_site_labels() const override { return true; }
  bool pools() const override { return std::is_same_v<Settings, v1::PooledSettings>; }
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
    return {.gradient_clip = settings_.gradient_clip(),
            .proximal = settings_.adaptation_proximal(),
            .scope = ParseAdaptationScope(settings_.adapts())};
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
            .batch_size = settings_.batch_size(),
            .proximal = settings_.proximal()};
  }

  Settings settings_;
};

template <typename Settings>
Result<std::unique_ptr<MetaLearner>> Create(const google::protobuf::Any& any) {
  FEDMETA_ASSIGN_OR_RETURN(auto settings, ReadSettings<Settings>(any));
  return std::unique_ptr<MetaLearner>(std::make_unique<Fedavg<Settings>>(std::move(settings)));
}

}  // namespace

Result<std::unique_ptr<MetaLearner>> CreateFedavg(const google::protobuf::Any& any) {
  return Create<v1::FedavgSettings>(any);
}
Result<std::unique_ptr<MetaLearner>> CreatePooled(const google::protobuf::Any& any) {
  return Create<v1::PooledSettings>(any);
}

}  // namespace fedmeta
