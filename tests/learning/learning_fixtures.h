#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <ATen/ATen.h>

#include "fedmeta/algorithms/meta/meta_learner.h"
#include "fedmeta/algorithms/meta/meta_registry.h"
#include "fedmeta/algorithms/meta/task_mean.h"
#include "fedmeta/algorithms/models/model_registry.h"
#include "fedmeta/v1/algorithms.pb.h"
#include "fedmeta/v1/models.pb.h"

namespace fedmeta {

inline Rng TestRng(std::uint64_t seed = 1) { return Rng({.seed = seed, .purpose = "test"}); }

template <typename Settings>
v1::Plugin PluginOf(const std::string& name, const Settings& settings) {
  v1::Plugin plugin;
  plugin.set_name(name);
  plugin.mutable_settings()->PackFrom(settings);
  return plugin;
}

inline std::unique_ptr<Model> MakeMlp(const std::vector<std::uint32_t>& hidden,
                                      const std::string& activation, std::int64_t inputs,
                                      std::int64_t outputs) {
  v1::MlpSettings settings;
  for (const std::uint32_t width : hidden) settings.add_hidden(width);
  settings.set_activation(activation);
  return MakeModel(BuiltinModels(), PluginOf("mlp", settings),
                   {.input_shape = {inputs}, .outputs = outputs})
      .value();
}

inline std::unique_ptr<Model> MakeConv4(const v1::Conv4Settings& settings,
                                        std::vector<std::int64_t> image, std::int64_t outputs) {
  return MakeModel(BuiltinModels(), PluginOf("conv4", settings),
                   {.input_shape = std::move(image), .outputs = outputs})
      .value();
}

/// The nets of the gradient checks: small, and smooth everywhere unless `kinks`.
inline v1::Conv4Settings SmallConv4(bool kinks) {
  v1::Conv4Settings settings;
  settings.set_filters(4);
  settings.set_activation(kinks ? "relu" : "softplus");
  settings.set_pooling(kinks ? "max" : "mean");
  return settings;
}

template <typename Settings>
std::unique_ptr<MetaLearner> MakeLearner(const std::string& name, const Settings& settings) {
  return MakeMetaLearner(BuiltinMetaLearners(), PluginOf(name, settings)).value();
}

/// The part of a learner that works on one task, in any dtype.
inline const TaskMeanLearner& TaskPart(const MetaLearner& learner) {
  return dynamic_cast<const TaskMeanLearner&>(learner);
}

inline at::Tensor RandomNormal(std::vector<std::int64_t> shape, Rng& rng,
                               at::ScalarType type = at::kDouble) {
  at::Tensor values = at::empty(shape, at::kDouble);
  double* data = values.data_ptr<double>();
  for (std::int64_t i = 0; i < values.numel(); ++i) data[i] = rng.Normal();
  return values.to(type);
}

/// Images (or vectors) with random labels, every class in turn.
inline TaskSet RandomClasses(std::vector<std::int64_t> example, std::int64_t classes,
                             std::int64_t examples, Rng& rng, at::ScalarType type = at::kDouble) {
  example.insert(example.begin(), examples);
  const at::Tensor targets = at::arange(examples, at::kLong).remainder(classes);
  return {RandomNormal(example, rng, type), targets};
}

inline TaskSet RandomValues(std::int64_t inputs, std::int64_t outputs, std::int64_t examples,
                            Rng& rng, at::ScalarType type = at::kDouble) {
  return {RandomNormal({examples, inputs}, rng, type),
          RandomNormal({examples, outputs}, rng, type)};
}

inline at::Tensor InitialTensor(const Model& model, at::ScalarType type, std::uint64_t seed = 3) {
  Rng rng = TestRng(seed);
  const std::vector<float> values = model.InitialParameters(rng);
  return at::tensor(values, at::kFloat).to(type);
}

inline double RelativeError(const at::Tensor& actual, const at::Tensor& expected) {
  const at::Tensor difference = (actual.to(at::kDouble) - expected.to(at::kDouble)).norm();
  return (difference / (expected.to(at::kDouble).norm() + 1e-300)).item<double>();
}

/// Draws classification or regression tasks from its own stream; `fail` refuses.
class FakeSource : public TaskSource {
 public:
  struct Options {
    std::vector<std::int64_t> example = {3};
    std::int64_t classes = 3, support = 6, query = 9, all = 12;
    double input_scale = 1;
    bool fail = false;
  };
  explicit FakeSource(Options options) : options_(std::move(options)) {}

  Result<Task> Draw(Rng& rng, std::int64_t support_per_class) override {
    if (options_.fail) return Error(ErrorCode::kFailedPrecondition, "too few classes");
    const std::int64_t support =
        support_per_class > 0 ? support_per_class * options_.classes : options_.support;
    return Task{.support = Draws(support, rng), .query = Draws(options_.query, rng)};
  }
  Result<TaskSet> Examples(Rng& rng) override {
    if (options_.fail) return Error(ErrorCode::kFailedPrecondition, "no examples");
    return Draws(options_.all, rng);
  }

 private:
  TaskSet Draws(std::int64_t count, Rng& rng) const {
    TaskSet set = RandomClasses(options_.example, options_.classes, count, rng, at::kFloat);
    set.inputs = set.inputs * options_.input_scale;
    return set;
  }
  Options options_;
};

}  // namespace fedmeta
