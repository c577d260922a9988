#include "fedmeta/algorithms/meta/learned_rates.h"

#include <algorithm>
#include <vector>

#include <ATen/ATen.h>

namespace fedmeta {
namespace {

std::vector<std::int64_t> TensorSizes(const Model& model) {
  std::vector<std::int64_t> sizes;
  for (const TensorSpec& tensor : model.tensors())
    sizes.push_back(static_cast<std::int64_t>(*ElementCount(tensor.shape)));
  return sizes;
}

LearnedRates::Kind ParseKind(const std::string& text) {
  if (text == "scalar") return LearnedRates::Kind::kScalar;
  if (text == "per_layer") return LearnedRates::Kind::kPerLayer;
  if (text == "per_layer_step") return LearnedRates::Kind::kPerLayerStep;
  return LearnedRates::Kind::kNone;
}

}  // namespace

LearnedRates::LearnedRates(const std::string& kind, std::uint32_t steps)
    : kind_(steps > 0 ? ParseKind(kind) : Kind::kNone), steps_(steps) {}

std::optional<Segment> LearnedRates::Describe(const Model& model) const {
  const auto tensors = static_cast<std::int64_t>(model.tensors().size());
  std::vector<std::int64_t> shape;
  switch (kind_) {
    case Kind::kNone:
      return std::nullopt;
    case Kind::kScalar:
      shape = {1};
      break;
    case Kind::kPerLayer:
      shape = {tensors};
      break;
    case Kind::kPerLayerStep:
      shape = {steps_, tensors};
      break;
  }
  return Segment{
      .name = "inner_learning_rate",
      .rule = ServerRule::kOptimize,
      .tensors = {
          {.name = "log_inner_learning_rate", .shape = shape, .kind = TensorKind::kBuffer}}};
}

std::size_t LearnedRates::size(const Model& model) const {
  const std::optional<Segment> segment = Describe(model);
  return segment ? *ElementCount(segment->tensors.front().shape) : 0;
}

at::Tensor LearnedRates::Scale(const Model& model, const at::Tensor& s) const {
  const auto parameters = static_cast<std::int64_t>(ParameterCount(model));
  const at::Tensor scale = s.exp();
  if (kind_ == Kind::kScalar) return scale.expand({parameters}).contiguous();
  // One value a tensor, over its coordinates: filled in here, as there are few of them.
  const std::vector<std::int64_t> sizes = TensorSizes(model);
  const at::Tensor values = scale.to(at::kCPU, at::kDouble).contiguous();
  const double* value = values.data_ptr<double>();
  const std::int64_t rows = kind_ == Kind::kPerLayer ? 1 : steps_;
  at::Tensor filled = at::empty({rows, parameters}, at::kDouble);
  double* to = filled.data_ptr<double>();
  for (std::int64_t row = 0; row < rows; ++row) {
    for (const std::int64_t size : sizes) to = std::fill_n(to, size, *value++);
  }
  if (kind_ == Kind::kPerLayer) filled = filled.view({parameters});
  return filled.to(s.options());
}

at::Tensor LearnedRates::Gradient(const Model& model, const at::Tensor& scale,
                                  const at::Tensor& scale_gradient) const {
  // d exp(s) / ds = exp(s).
  const at::Tensor product = scale * scale_gradient;
  if (kind_ == Kind::kScalar) return product.sum().view({1});
  std::vector<at::Tensor> sums;
  for (const at::Tensor& part : product.split_with_sizes(TensorSizes(model), -1))
    sums.push_back(part.sum(-1));
  return at::stack(sums, -1).reshape({-1});
}

}  // namespace fedmeta
