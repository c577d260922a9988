#include "fedmeta/algorithms/meta/adaptation_scope.h"

#include <stdexcept>

#include <ATen/ATen.h>

#include "fedmeta/core/check.h"

namespace fedmeta {
namespace {

bool IsLinear(const Model& model) {
  const std::optional<MlpShape> shape = model.mlp_shape();
  return shape && shape->widths.size() == 2;
}

bool IsIntercept(const TensorSpec& tensor) {
  return tensor.kind == TensorKind::kHead && tensor.shape.size() == 1;
}

}  // namespace

AdaptationScope ParseAdaptationScope(const std::string& text) {
  if (text == "all") return AdaptationScope::kAll;
  if (text == "head") return AdaptationScope::kHead;
  if (text == "intercept") return AdaptationScope::kIntercept;
  return AdaptationScope::kAuto;
}

at::Tensor MovedCoordinates(const Model& model, AdaptationScope scope, std::int64_t examples,
                            const at::Tensor& like) {
  if (scope == AdaptationScope::kAuto) {
    scope = examples <= kFewLabels && IsLinear(model) ? AdaptationScope::kIntercept
                                                      : AdaptationScope::kAll;
  }
  if (scope == AdaptationScope::kAll) return {};
  at::Tensor moved = at::zeros_like(like);
  std::int64_t at = 0;
  bool any = false;
  for (const TensorSpec& tensor : model.tensors()) {
    const auto count = static_cast<std::int64_t>(*ElementCount(tensor.shape));
    const bool moves =
        scope == AdaptationScope::kHead ? tensor.kind == TensorKind::kHead : IsIntercept(tensor);
    if (moves) moved.narrow(0, at, count).fill_(1);
    any = any || moves;
    at += count;
  }
  if (!any) {
    throw std::invalid_argument(
        "this model has no output layer with a bias: adapts must be all for it");
  }
  return moved;
}

}  // namespace fedmeta
