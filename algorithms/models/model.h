#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "fedmeta/core/result.h"
#include "fedmeta/core/rng.h"
#include "fedmeta/core/state_layout.h"

namespace fedmeta {

/// Parameters by position of Model::tensors(); views into one flat tensor, or fast weights
/// with a graph behind them. Any device, any floating dtype (tests use float64).
using Parameters = std::span<const at::Tensor>;

/// What a fully connected model is made of, so that a fused kernel can run it without a graph.
struct MlpShape {
  std::vector<std::int64_t> widths;  ///< input, hidden..., output
  enum class Activation { kRelu, kTanh, kSoftplus } activation = Activation::kRelu;
};

/// Where a model's normalisation takes mean and variance from.
enum class NormalizationStatistics : std::uint8_t {
  kNone,   ///< no other example has a part in an output: no normalisation, or one of each example
  kBatch,  ///< the batch at hand; no running statistics
  kAveraged,  ///< training: the batch at hand; new examples: running ones, averaged over clients
  kLocal,     ///< as averaged, but running ones of each site, which never leave it
  kFrozen,    ///< always those of the initial state
};

struct ForwardArguments {
  const at::Tensor& inputs;  ///< [examples, ...]
  /// By position of Model::statistics(); empty: those of the batch at hand.
  Parameters statistics = {};
  /// Where not null: those of the batch at hand, appended by position of Model::statistics().
  std::vector<at::Tensor>* batch_statistics = nullptr;
};

/// A function of parameters and inputs; holds no parameters of its own.
/// Thread-compatible: one Clone() per worker thread (a TorchScript module keeps its
/// attributes as shared state). LibTorch exceptions may leave Forward; MetaLearner catches.
class Model {
 public:
  virtual ~Model() = default;
  /// What is learned: no buffers.
  virtual std::span<const TensorSpec> tensors() const = 0;
  /// inputs [examples, ...] -> outputs [examples, outputs].
  virtual at::Tensor Forward(Parameters parameters, const ForwardArguments& arguments) const = 0;
  virtual NormalizationStatistics normalization() const { return NormalizationStatistics::kNone; }
  /// Mean and (biased) variance in turn of every normalisation, as PyTorch names running ones;
  /// empty with NormalizationStatistics::kNone.
  virtual std::span<const TensorSpec> statistics() const { return {}; }
  /// Share that a round's statistics take in the running ones, in (0, 1].
  virtual double statistics_momentum() const { return 0.1; }
  /// One flat float32 vector in the order of tensors(), as PyTorch would initialise the same
  /// layers.
  virtual std::vector<float> InitialParameters(Rng& rng) const = 0;
  /// Set where the model is a plain MLP (weights [out, in] and bias [out] alternate in tensors()).
  virtual std::optional<MlpShape> mlp_shape() const { return std::nullopt; }
  virtual std::unique_ptr<Model> Clone() const = 0;
};

/// What a model is built for, beside its own settings.
struct ModelContext {
  std::vector<std::int64_t> input_shape;  ///< of one example, e.g. {1, 28, 28}
  std::int64_t outputs = 0;
};

/// Coordinates of all tensors, and of all statistics.
std::size_t ParameterCount(const Model& model);
std::size_t StatisticsCount(const Model& model);
/// Means 0 and variances 1, flat, as PyTorch starts running statistics.
std::vector<float> InitialStatistics(const Model& model);
/// Views of a flat [P] tensor in the shapes of model.tensors(); keeps the graph.
std::vector<at::Tensor> SplitParameters(const Model& model, const at::Tensor& flat);
/// Views of flat statistics in the shapes of model.statistics().
std::vector<at::Tensor> SplitStatistics(const Model& model, const at::Tensor& flat);

}  // namespace fedmeta
