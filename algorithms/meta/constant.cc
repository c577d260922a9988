// The prevalence: every example of a site is given the shares of the classes among its labelled
// rows, (n_c + 1) / (N + C) so that no class is impossible (Laplace); before any label is seen, 1 /
// C. In regression the mean of the targets. Whatever uses features has to beat it.
#include <ATen/ATen.h>

#include "fedmeta/algorithms/meta/libtorch_process.h"
#include "fedmeta/algorithms/meta/meta_registry.h"
#include "fedmeta/algorithms/meta/theta_learner.h"
#include "fedmeta/algorithms/models/plugin_settings.h"
#include "fedmeta/v1/algorithms.pb.h"

namespace fedmeta {
namespace {

/// What a model gives for every input when this is the bias of its output layer and all else is 0.
at::Tensor Outputs(ObjectiveKind kind, const at::Tensor& targets, std::int64_t outputs) {
  if (kind == ObjectiveKind::kMeanSquaredError) return targets.to(at::kFloat).mean(0);
  const auto rows = static_cast<double>(targets.size(0));
  if (kind == ObjectiveKind::kBinaryCrossEntropy) {
    const at::Tensor share = (targets.to(at::kFloat).sum(0) + 1) / (rows + 2);
    return at::log(share / (1 - share));
  }
  const at::Tensor counts = at::bincount(targets, {}, outputs).to(at::kFloat);
  return at::log((counts + 1) / (rows + static_cast<double>(outputs)));
}

class Constant final : public ThetaLearner {
 public:
  std::vector<Result<ClientUpdate>> ComputeUpdates(const LearnContext& /*context*/,
                                                   std::span<const float> /*state*/,
                                                   std::span<ClientWork> work) const override {
    return {work.size(),
            Error(ErrorCode::kFailedPrecondition, "algorithm constant has no training rounds")};
  }
  Status Adapt(const LearnContext& context, const TaskGradients& /*gradients*/,
               std::span<const float> state, const TaskSet& support, const AdaptOptions& options,
               const std::function<void(std::uint32_t, const at::Tensor&)>& visit) const override {
    FEDMETA_RETURN_IF_ERROR(CheckAdaptation(context.model, state, support, options));
    const auto tensors = context.model.tensors();
    if (tensors.back().kind != TensorKind::kHead || tensors.back().shape.size() != 1) {
      return Error(ErrorCode::kInvalidArgument,
                   "algorithm constant needs a model whose last tensor is its output layer's bias");
    }
    const std::int64_t outputs = tensors.back().shape.front();
    try {
      const OneLibtorchThread one_thread;
      for (const std::uint32_t step : options.steps) {
        at::Tensor parameters =
            at::zeros({static_cast<std::int64_t>(ParameterCount(context.model))}, context.device);
        if (step > 0) {
          parameters.narrow(0, parameters.numel() - outputs, outputs)
              .copy_(Outputs(context.objective.kind(), support.targets, outputs));
        }
        visit(step, parameters);
      }
    } catch (...) {
      return CurrentExceptionError().WithContext("adaptation");
    }
    return {};
  }
  double default_adaptation_rate() const override { return 1; }
  bool trains() const override { return false; }
};

}  // namespace

Result<std::unique_ptr<MetaLearner>> CreateConstant(const google::protobuf::Any& any) {
  FEDMETA_RETURN_IF_ERROR(ReadSettings<v1::ConstantSettings>(any));
  return std::unique_ptr<MetaLearner>(std::make_unique<Constant>());
}

}  // namespace fedmeta
