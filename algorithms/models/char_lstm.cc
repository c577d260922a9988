// Next character of a text (McMahan 2017; the net of LEAF, Caldas 2018): embedding, LSTM layers, a
// linear head on the last step. Tensors are named as in an nn.Module with `embedding =
// nn.Embedding`, `lstm = nn.LSTM(batch_first=True)`, `head = nn.Linear`. The alphabet of the
// windows is that of the outputs.
#include <string>
#include <utility>

#include <ATen/ATen.h>

#include "fedmeta/algorithms/models/initialisation.h"
#include "fedmeta/algorithms/models/model_registry.h"
#include "fedmeta/algorithms/models/plugin_settings.h"
#include "fedmeta/v1/models.pb.h"

namespace fedmeta {
namespace {

constexpr std::size_t kTensorsOfALayer = 4;

class CharLstm final : public Model {
 public:
  CharLstm(std::int64_t embedding, std::int64_t hidden, std::int64_t layers, std::int64_t alphabet)
      : hidden_(hidden), layers_(layers) {
    const auto add = [this](std::string name, std::vector<std::int64_t> shape, TensorKind kind) {
      tensors_.push_back({.name = std::move(name), .shape = std::move(shape), .kind = kind});
    };
    add("embedding.weight", {alphabet, embedding}, TensorKind::kBody);
    for (std::int64_t layer = 0; layer < layers; ++layer) {
      const std::string suffix = "_l" + std::to_string(layer);
      add("lstm.weight_ih" + suffix, {4 * hidden, layer == 0 ? embedding : hidden},
          TensorKind::kBody);
      add("lstm.weight_hh" + suffix, {4 * hidden, hidden}, TensorKind::kBody);
      add("lstm.bias_ih" + suffix, {4 * hidden}, TensorKind::kBody);
      add("lstm.bias_hh" + suffix, {4 * hidden}, TensorKind::kBody);
    }
    add("head.weight", {alphabet, hidden}, TensorKind::kHead);
    add("head.bias", {alphabet}, TensorKind::kHead);
  }

  std::span<const TensorSpec> tensors() const override { return tensors_; }

  at::Tensor Forward(Parameters parameters, const ForwardArguments& arguments) const override {
    const at::Tensor embedded =
        at::embedding(parameters[0], arguments.inputs.to(at::kLong));  // [examples, window, E]
    const std::size_t count = kTensorsOfALayer * static_cast<std::size_t>(layers_);
    const auto weights = parameters.subspan(1, count);
    const at::Tensor start = at::zeros({layers_, embedded.size(0), hidden_}, embedded.options());
    const auto outputs = at::lstm(embedded, {start, start}, {weights.data(), weights.size()},
                                  /*has_biases=*/true, layers_, /*dropout=*/0.0, /*train=*/false,
                                  /*bidirectional=*/false, /*batch_first=*/true);
    return at::linear(std::get<0>(outputs).select(1, -1), parameters[count + 1],
                      parameters[count + 2]);
  }

  std::vector<float> InitialParameters(Rng& rng) const override {
    std::vector<float> values;
    const auto count = [](const TensorSpec& tensor) {
      return static_cast<std::int64_t>(*ElementCount(tensor.shape));
    };
    for (std::int64_t i = 0; i < count(tensors_.front()); ++i) {
      values.push_back(static_cast<float>(rng.Normal()));
    }
    // LSTM and head alike: U(-1/sqrt(hidden), 1/sqrt(hidden)).
    for (std::size_t t = 1; t < tensors_.size(); ++t) {
      AppendUniform(values, count(tensors_[t]), hidden_, rng);
    }
    return values;
  }

  std::unique_ptr<Model> Clone() const override { return std::make_unique<CharLstm>(*this); }

 private:
  std::int64_t hidden_, layers_;
  std::vector<TensorSpec> tensors_;
};

}  // namespace

Result<std::unique_ptr<Model>> CreateCharLstm(const google::protobuf::Any& any,
                                              const ModelContext& context) {
  FEDMETA_ASSIGN_OR_RETURN(const auto settings, ReadSettings<v1::CharLstmSettings>(any));
  if (context.input_shape.size() != 1) {
    return Error(ErrorCode::kInvalidArgument,
                 "model.name char_lstm reads windows of characters, shape [window]; the source's "
                 "examples have " +
                     std::to_string(context.input_shape.size()) + " dimensions");
  }
  return std::unique_ptr<Model>(std::make_unique<CharLstm>(settings.embedding(), settings.hidden(),
                                                           settings.layers(), context.outputs));
}

}  // namespace fedmeta
