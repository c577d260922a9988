#include "fedmeta/algorithms/models/objective.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include "fedmeta/algorithms/models/classification_figures.h"

namespace fedmeta {

at::Tensor Objective::Loss(const at::Tensor& outputs, const at::Tensor& targets,
                           const at::Tensor& weights) const {
  if (weights.defined()) return WeightedLoss(outputs, targets, weights);
  switch (kind_) {
    case ObjectiveKind::kCrossEntropy:
      return at::cross_entropy_loss(outputs, targets);
    case ObjectiveKind::kBinaryCrossEntropy:
      return at::binary_cross_entropy_with_logits(
          outputs, targets.to(outputs.scalar_type()).view(outputs.sizes()));
    case ObjectiveKind::kMeanSquaredError:
      return at::mse_loss(outputs, targets.to(outputs.scalar_type()).view(outputs.sizes()));
  }
  return {};
}

at::Tensor Objective::WeightedLoss(const at::Tensor& outputs, const at::Tensor& targets,
                                   const at::Tensor& weights) const {
  const at::Tensor each = [&] {
    switch (kind_) {
      case ObjectiveKind::kCrossEntropy:
        return at::cross_entropy_loss(outputs, targets, {}, at::Reduction::None);
      case ObjectiveKind::kBinaryCrossEntropy:
        return at::binary_cross_entropy_with_logits(
            outputs, targets.to(outputs.scalar_type()).view(outputs.sizes()), {}, {},
            at::Reduction::None);
      case ObjectiveKind::kMeanSquaredError:
        return at::mse_loss(outputs, targets.to(outputs.scalar_type()).view(outputs.sizes()),
                            at::Reduction::None);
    }
    return at::Tensor();
  }();
  const at::Tensor of_example = each.dim() > 1 ? each.mean(1) : each;
  return (of_example * weights.to(outputs.scalar_type())).mean();
}

MetricSums Objective::Measure(const at::Tensor& outputs, const at::Tensor& targets) const {
  const c10::NoGradGuard no_graph;
  const at::Tensor values = outputs.detach();
  MetricSums sums;
  sums.examples = static_cast<double>(values.size(0));
  sums.query_loss = Loss(values, targets).item<double>() * sums.examples;
  if (kind_ == ObjectiveKind::kCrossEntropy) {
    sums.correct = values.argmax(1).eq(targets).sum().item<double>();
  } else if (kind_ == ObjectiveKind::kBinaryCrossEntropy) {
    const at::Tensor wanted = targets.view(values.sizes()) > 0.5;
    sums.correct = (values > 0).eq(wanted).all(1).sum().item<double>();
  }
  return sums;
}

at::Tensor Objective::Probabilities(const at::Tensor& outputs) const {
  const c10::NoGradGuard no_graph;
  const at::Tensor values = outputs.detach().to(at::kCPU, at::kDouble);
  if (kind_ == ObjectiveKind::kCrossEntropy) return values.softmax(1).contiguous();
  if (kind_ != ObjectiveKind::kBinaryCrossEntropy || values.size(1) != 1) return {};
  return at::cat({at::sigmoid(-values), at::sigmoid(values)}, 1);
}

MetricSums Objective::Evaluate(const at::Tensor& outputs, const at::Tensor& targets) const {
  MetricSums sums = Measure(outputs, targets);
  const at::Tensor probabilities = Probabilities(outputs);
  if (!probabilities.defined() || !at::isfinite(probabilities).all().item<bool>()) return sums;
  const at::Tensor classes = targets.to(at::kCPU, at::kLong).reshape(-1).contiguous();
  const auto count = static_cast<std::size_t>(probabilities.numel());
  AddClassificationFigures(
      {probabilities.data_ptr<double>(), count},
      {classes.data_ptr<std::int64_t>(), static_cast<std::size_t>(classes.numel())}, sums);
  return sums;
}

}  // namespace fedmeta
