// Four blocks of 3x3 convolution (padding 1), normalisation, activation and halving, then a linear
// head (Vinyals 2016). Finn 2017's Omniglot net: downsample stride, readout mean, gamma false.
// Nichol 2018's: downsample stride, readout flatten. Finn's and Vinyals's miniImageNet net:
// downsample pool, readout flatten.
//
// Batch normalisation (Ioffe, Szegedy 2015) takes mean and variance of the batch at hand or those
// it is given; which running ones there are, and whose, `normalization` says. Group normalisation
// (Wu, He 2018) has 4 groups where `filters` is a multiple of 4, else 1. A convolution has a bias
// only without normalisation: before it, the shift of the normalisation does its work.
#include <string>

#include <ATen/ATen.h>

#include "fedmeta/algorithms/models/initialisation.h"
#include "fedmeta/algorithms/models/model_registry.h"
#include "fedmeta/algorithms/models/plugin_settings.h"
#include "fedmeta/v1/models.pb.h"

namespace fedmeta {
namespace {

constexpr int kBlocks = 4;
constexpr double kEpsilon = 1e-5;

struct Conv4Shape {
  std::int64_t channels = 0, filters = 0, features = 0, outputs = 0;
  bool stride = false, mean_readout = false, gamma = false, softplus = false, mean_pool = false;
  double momentum = 0;
  bool normalised = true;
  NormalizationStatistics statistics = NormalizationStatistics::kBatch;
  bool by_group() const { return normalised && statistics == NormalizationStatistics::kNone; }
};

class Conv4 final : public Model {
 public:
  explicit Conv4(const Conv4Shape& shape) : shape_(shape) {
    for (int b = 0; b < kBlocks; ++b) {
      const std::string block = "blocks." + std::to_string(b);
      const std::int64_t in = b == 0 ? shape_.channels : shape_.filters;
      tensors_.push_back({.name = block + ".conv.weight", .shape = {shape_.filters, in, 3, 3}});
      const auto add = [&](const char* name, TensorKind kind) {
        tensors_.push_back({.name = block + name, .shape = {shape_.filters}, .kind = kind});
      };
      if (!shape_.normalised) add(".conv.bias", TensorKind::kBody);
      if (shape_.normalised && shape_.gamma) add(".norm.weight", TensorKind::kNormalisation);
      if (shape_.normalised) add(".norm.bias", TensorKind::kNormalisation);
      if (shape_.statistics == NormalizationStatistics::kNone) continue;
      for (const char* name : {".norm.running_mean", ".norm.running_var"}) {
        statistics_.push_back(
            {.name = block + name, .shape = {shape_.filters}, .kind = TensorKind::kBuffer});
      }
    }
    tensors_.push_back({.name = "head.weight",
                        .shape = {shape_.outputs, shape_.features},
                        .kind = TensorKind::kHead});
    tensors_.push_back({.name = "head.bias", .shape = {shape_.outputs}, .kind = TensorKind::kHead});
  }

  std::span<const TensorSpec> tensors() const override { return tensors_; }
  NormalizationStatistics normalization() const override { return shape_.statistics; }
  std::span<const TensorSpec> statistics() const override { return statistics_; }
  double statistics_momentum() const override { return shape_.momentum; }

  at::Tensor Forward(Parameters parameters, const ForwardArguments& arguments) const override {
    auto next = parameters.begin();
    at::Tensor values = arguments.inputs;
    // Normalisation without a weight has no double backward in LibTorch 1.13: a constant one stands
    // in.
    const at::Tensor ones = shape_.normalised && !shape_.gamma
                                ? at::ones({shape_.filters}, parameters[0].options())
                                : at::Tensor();
    for (int b = 0; b < kBlocks; ++b) {
      const at::Tensor& kernel = *next++;
      const at::Tensor bias = shape_.normalised ? at::Tensor() : *next++;
      const std::int64_t stride = shape_.stride ? 2 : 1;
      values = at::conv2d(values, kernel, bias, {stride, stride}, {1, 1});
      if (shape_.normalised) {
        const at::Tensor& gamma = shape_.gamma ? *next++ : ones;
        const at::Tensor& beta = *next++;
        values = Normalise(values, gamma, beta, arguments, static_cast<std::size_t>(b));
      }
      values = shape_.softplus ? at::softplus(values) : at::relu(values);
      if (!shape_.stride) {
        values = shape_.mean_pool ? at::avg_pool2d(values, {2, 2}) : at::max_pool2d(values, {2, 2});
      }
    }
    values = shape_.mean_readout ? values.mean({2, 3}) : values.flatten(1);
    return at::linear(values, next[0], next[1]);
  }

  std::vector<float> InitialParameters(Rng& rng) const override {
    std::vector<float> values;
    for (int b = 0; b < kBlocks; ++b) {
      const std::int64_t fan_in = 9 * (b == 0 ? shape_.channels : shape_.filters);
      AppendUniform(values, shape_.filters * fan_in, fan_in, rng);
      const auto filters = static_cast<std::size_t>(shape_.filters);
      if (!shape_.normalised) AppendUniform(values, shape_.filters, fan_in, rng);
      if (shape_.normalised && shape_.gamma) values.insert(values.end(), filters, 1.0F);
      if (shape_.normalised) values.insert(values.end(), filters, 0.0F);
    }
    AppendUniform(values, shape_.outputs * shape_.features, shape_.features, rng);
    AppendUniform(values, shape_.outputs, shape_.features, rng);
    return values;
  }

  std::unique_ptr<Model> Clone() const override { return std::make_unique<Conv4>(*this); }

 private:
  at::Tensor Normalise(const at::Tensor& values, const at::Tensor& gamma, const at::Tensor& beta,
                       const ForwardArguments& arguments, std::size_t block) const {
    if (shape_.by_group()) {
      return at::group_norm(values, shape_.filters % 4 == 0 ? 4 : 1, gamma, beta, kEpsilon);
    }
    if (arguments.batch_statistics != nullptr) {
      arguments.batch_statistics->push_back(values.mean({0, 2, 3}));
      arguments.batch_statistics->push_back(values.var({0, 2, 3}, /*unbiased=*/false));
    }
    if (arguments.statistics.empty()) {
      return at::batch_norm(values, gamma, beta, {}, {}, /*training=*/true, /*momentum=*/0.0,
                            kEpsilon, /*cudnn_enabled=*/true);
    }
    // A variance that came over the network may be negative.
    return at::batch_norm(values, gamma, beta, arguments.statistics[2 * block],
                          arguments.statistics[2 * block + 1].clamp_min(0), /*training=*/false,
                          /*momentum=*/0.0, kEpsilon, /*cudnn_enabled=*/true);
  }

  Conv4Shape shape_;
  std::vector<TensorSpec> tensors_, statistics_;
};

NormalizationStatistics StatisticsOf(const std::string& normalization) {
  if (normalization == "batch") return NormalizationStatistics::kBatch;
  if (normalization == "averaged") return NormalizationStatistics::kAveraged;
  if (normalization == "local") return NormalizationStatistics::kLocal;
  if (normalization == "frozen") return NormalizationStatistics::kFrozen;
  return NormalizationStatistics::kNone;
}

}  // namespace

Result<std::unique_ptr<Model>> CreateConv4(const google::protobuf::Any& any,
                                           const ModelContext& context) {
  FEDMETA_ASSIGN_OR_RETURN(const v1::Conv4Settings settings, ReadSettings<v1::Conv4Settings>(any));
  if (context.input_shape.size() != 3) {
    return Error(ErrorCode::kInvalidArgument,
                 "examples must be images [channels, height, width], got " +
                     std::to_string(context.input_shape.size()) + " dimensions");
  }
  Conv4Shape shape{.channels = context.input_shape[0],
                   .filters = settings.filters(),
                   .outputs = context.outputs,
                   .stride = settings.downsample() == "stride",
                   .mean_readout = settings.readout() == "mean",
                   .gamma = settings.gamma(),
                   .softplus = settings.activation() == "softplus",
                   .mean_pool = settings.pooling() == "mean",
                   .momentum = settings.statistics_momentum(),
                   .normalised = settings.normalization() != "none",
                   .statistics = StatisticsOf(settings.normalization())};
  std::int64_t height = context.input_shape[1];
  std::int64_t width = context.input_shape[2];
  for (int b = 0; b < kBlocks; ++b) {
    height = shape.stride ? (height + 1) / 2 : height / 2;
    width = shape.stride ? (width + 1) / 2 : width / 2;
  }
  if (height < 1 || width < 1) {
    return Error(ErrorCode::kInvalidArgument,
                 "images must be at least 16 x 16 with downsample pool, got " +
                     std::to_string(context.input_shape[1]) + " x " +
                     std::to_string(context.input_shape[2]) + "; use downsample: stride");
  }
  shape.features = shape.mean_readout ? shape.filters : shape.filters * height * width;
  return std::unique_ptr<Model>(std::make_unique<Conv4>(shape));
}

}  // namespace fedmeta
