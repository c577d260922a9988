// Fully connected network: y = W_L a(W_{L-1} ... a(W_1 x + b_1) ...) + b_L. Inputs of any shape are
// flattened. Tensors are named as in an nn.Module with `self.layers =
// nn.ModuleList([nn.Linear(...), ...])`.
#include <functional>
#include <numeric>
#include <string>

#include <ATen/ATen.h>

#include "fedmeta/algorithms/models/initialisation.h"
#include "fedmeta/algorithms/models/model_registry.h"
#include "fedmeta/algorithms/models/plugin_settings.h"
#include "fedmeta/v1/models.pb.h"

namespace fedmeta {
namespace {

class Mlp final : public Model {
 public:
  Mlp(MlpShape shape, bool zero_head) : shape_(std::move(shape)), zero_head_(zero_head) {
    const auto& widths = shape_.widths;
    for (std::size_t l = 0; l + 1 < widths.size(); ++l) {
      const std::string layer = "layers." + std::to_string(l);
      const TensorKind kind = l + 2 == widths.size() ? TensorKind::kHead : TensorKind::kBody;
      tensors_.push_back(
          {.name = layer + ".weight", .shape = {widths[l + 1], widths[l]}, .kind = kind});
      tensors_.push_back({.name = layer + ".bias", .shape = {widths[l + 1]}, .kind = kind});
    }
  }

  std::span<const TensorSpec> tensors() const override { return tensors_; }

  at::Tensor Forward(Parameters parameters, const ForwardArguments& arguments) const override {
    at::Tensor values = arguments.inputs.flatten(1);
    for (std::size_t i = 0; i < parameters.size(); i += 2) {
      values = at::linear(values, parameters[i], parameters[i + 1]);
      if (i + 2 < parameters.size()) values = Activate(values);
    }
    return values;
  }

  std::vector<float> InitialParameters(Rng& rng) const override {
    std::vector<float> values;
    for (std::size_t l = 0; l + 1 < shape_.widths.size(); ++l) {
      const std::int64_t in = shape_.widths[l];
      const std::int64_t out = shape_.widths[l + 1];
      if (zero_head_ && l + 2 == shape_.widths.size()) {
        values.resize(values.size() + static_cast<std::size_t>(out * in + out));
        continue;
      }
      AppendUniform(values, out * in, in, rng);
      AppendUniform(values, out, in, rng);
    }
    return values;
  }

  std::optional<MlpShape> mlp_shape() const override { return shape_; }
  std::unique_ptr<Model> Clone() const override { return std::make_unique<Mlp>(*this); }

 private:
  at::Tensor Activate(const at::Tensor& values) const {
    switch (shape_.activation) {
      case MlpShape::Activation::kRelu:
        return at::relu(values);
      case MlpShape::Activation::kTanh:
        return at::tanh(values);
      case MlpShape::Activation::kSoftplus:
        return at::softplus(values);
    }
    return values;
  }

  MlpShape shape_;
  bool zero_head_;
  std::vector<TensorSpec> tensors_;
};

}  // namespace

Result<std::unique_ptr<Model>> CreateMlp(const google::protobuf::Any& any,
                                         const ModelContext& context) {
  FEDMETA_ASSIGN_OR_RETURN(v1::MlpSettings settings, ReadSettings<v1::MlpSettings>(any));
  if (any.type_url().empty()) {
    for (const std::uint32_t width : {40U, 40U}) settings.add_hidden(width);
  }
  MlpShape shape;
  shape.widths.push_back(std::accumulate(context.input_shape.begin(), context.input_shape.end(),
                                         std::int64_t{1}, std::multiplies<>()));
  for (const std::uint32_t width : settings.hidden()) shape.widths.push_back(width);
  shape.widths.push_back(context.outputs);
  if (settings.activation() == "tanh") shape.activation = MlpShape::Activation::kTanh;
  if (settings.activation() == "softplus") shape.activation = MlpShape::Activation::kSoftplus;
  return std::unique_ptr<Model>(std::make_unique<Mlp>(std::move(shape), settings.head() == "zero"));
}

}  // namespace fedmeta
