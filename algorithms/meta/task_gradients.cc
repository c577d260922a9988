#include "fedmeta/algorithms/meta/task_gradients.h"

#include <ATen/ATen.h>

#include "fedmeta/core/check.h"

namespace fedmeta {
namespace {

/// Above this size a BLAS product is faster than the kernel's loops and dispatch no longer matters.
constexpr std::size_t kLargestFusedModel = 200'000;

}  // namespace

std::unique_ptr<TaskGradients> MakeTaskGradients(const Model& model, const Objective& objective,
                                                 const at::Device& device,
                                                 const at::Tensor& frozen_statistics) {
  FEDMETA_CHECK(frozen_statistics.defined() ==
                (model.normalization() == NormalizationStatistics::kFrozen));
  if (device.is_cpu() && model.mlp_shape() && ParameterCount(model) <= kLargestFusedModel) {
    return MakeMlpGradients(model, objective);
  }
  return MakeAutogradGradients(model, objective, frozen_statistics);
}

}  // namespace fedmeta
