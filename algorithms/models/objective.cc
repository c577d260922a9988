#include "fedmeta/algorithms/models/objective.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

namespace fedmeta {

at::Tensor Objective::Loss(const at::Tensor& outputs, const at::Tensor& targets) const {
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

}  // namespace fedmeta
