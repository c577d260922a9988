// Loss, gradient and Hessian-vector product of any model by autograd.
#include <utility>

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/variable.h>

#include "fedmeta/algorithms/meta/task_gradients.h"

namespace fedmeta {
namespace {

using Tensors = std::vector<at::Tensor>;

/// Joins per-tensor gradients into one flat vector; undefined ones are zero.
at::Tensor Flatten(const Tensors& gradients, const Tensors& parameters) {
  Tensors parts;
  parts.reserve(gradients.size());
  for (std::size_t i = 0; i < gradients.size(); ++i) {
    parts.push_back(gradients[i].defined()
                        ? gradients[i].detach().reshape(-1)
                        : at::zeros({parameters[i].numel()}, parameters[i].options()));
  }
  return at::cat(parts);
}

/// Images in channels-last order, which oneDNN's convolutions run faster in. Strides are set one by
/// one because contiguous(ChannelsLast) leaves a one-channel image as it is.
at::Tensor ChannelsLast(const at::Tensor& images) {
  const std::int64_t n = images.size(0);
  const std::int64_t c = images.size(1);
  const std::int64_t h = images.size(2);
  const std::int64_t w = images.size(3);
  at::Tensor result = at::empty_strided({n, c, h, w}, {h * w * c, 1, w * c, c}, images.options());
  return result.copy_(images);
}

class AutogradGradients final : public TaskGradients {
 public:
  AutogradGradients(const Model& model, const Objective& objective,
                    const at::Tensor& frozen_statistics)
      : model_(model.Clone()), objective_(objective), frozen_statistics_(frozen_statistics) {}

  const Model& model() const override { return *model_; }

  LossGradient Compute(const at::Tensor& parameters, const TaskSet& set,
                       bool with_curvature) const override {
    const c10::AutoGradMode graph(true);
    Tensors leaves = SplitParameters(*model_, parameters.detach());
    for (at::Tensor& leaf : leaves) leaf = leaf.detach().requires_grad_();
    at::Tensor inputs = set.inputs.to(parameters.scalar_type());
    // Double backward runs faster in the plain order.
    if (inputs.dim() == 4 && !with_curvature) inputs = ChannelsLast(inputs);
    const Tensors frozen = Split(frozen_statistics_, inputs);
    const at::Tensor outputs = model_->Forward(leaves, {.inputs = inputs, .statistics = frozen});
    const at::Tensor loss = objective_.Loss(outputs, set.targets, set.weights);
    Tensors gradients = torch::autograd::grad({loss}, leaves, {}, /*retain_graph=*/with_curvature,
                                              /*create_graph=*/with_curvature,
                                              /*allow_unused=*/true);
    LossGradient result;
    result.loss = loss.item<double>();
    result.gradient = Flatten(gradients, leaves);
    result.sums = objective_.Measure(outputs, set.targets);
    if (with_curvature) {
      result.hessian_times = [this, leaves = std::move(leaves),
                              gradients = std::move(gradients)](const at::Tensor& v) {
        return HessianTimes(leaves, gradients, v);
      };
    }
    return result;
  }

  MetricSums Measure(const at::Tensor& parameters, const TaskSet& set,
                     const at::Tensor& statistics) const override {
    return objective_.Measure(Outputs(parameters, set, statistics), set.targets);
  }

  at::Tensor Outputs(const at::Tensor& parameters, const TaskSet& set,
                     const at::Tensor& statistics) const override {
    const at::Tensor& given = statistics.defined() ? statistics : frozen_statistics_;
    return Forward(parameters, set, given, nullptr);
  }

  at::Tensor Statistics(const at::Tensor& parameters, const TaskSet& set) const override {
    if (model_->statistics().empty()) return {};
    Tensors own;
    Forward(parameters, set, {}, &own);
    return at::cat(own);
  }

 private:
  at::Tensor Forward(const at::Tensor& parameters, const TaskSet& set, const at::Tensor& statistics,
                     Tensors* batch_statistics) const {
    const c10::NoGradGuard no_graph;
    at::Tensor inputs = set.inputs.to(parameters.scalar_type());
    if (inputs.dim() == 4) inputs = ChannelsLast(inputs);
    const Tensors given = Split(statistics, inputs);
    return model_->Forward(
        SplitParameters(*model_, parameters.detach()),
        {.inputs = inputs, .statistics = given, .batch_statistics = batch_statistics});
  }

  /// Flat statistics by tensor, of the type that the inputs have; none where undefined.
  Tensors Split(const at::Tensor& statistics, const at::Tensor& inputs) const {
    if (!statistics.defined()) return {};
    return SplitStatistics(*model_, statistics.to(inputs.scalar_type()));
  }

  /// d/dphi of <gradient(phi), v>, back through the graph of the gradient.
  at::Tensor HessianTimes(const Tensors& leaves, const Tensors& gradients,
                          const at::Tensor& v) const {
    const c10::AutoGradMode graph(true);
    const Tensors directions = SplitParameters(*model_, v.detach());
    Tensors outputs;
    Tensors weights;
    for (std::size_t i = 0; i < gradients.size(); ++i) {
      if (!gradients[i].defined() || !gradients[i].requires_grad()) continue;  // constant in phi
      outputs.push_back(gradients[i]);
      weights.push_back(directions[i]);
    }
    if (outputs.empty()) return at::zeros_like(v);
    return Flatten(torch::autograd::grad(outputs, leaves, weights, /*retain_graph=*/true,
                                         /*create_graph=*/false, /*allow_unused=*/true),
                   leaves);
  }

  std::unique_ptr<Model> model_;
  Objective objective_;
  at::Tensor frozen_statistics_;
};

}  // namespace

std::unique_ptr<TaskGradients> MakeAutogradGradients(const Model& model, const Objective& objective,
                                                     const at::Tensor& frozen_statistics) {
  return std::make_unique<AutogradGradients>(model, objective, frozen_statistics);
}

}  // namespace fedmeta
