#include "fedmeta/algorithms/meta/task_gradients.h"

#include <ATen/ATen.h>

namespace fedmeta {
namespace {

/// Above this size a BLAS product is faster than the kernel's loops and dispatch no longer matters.
constexpr std::size_t kLargestFusedModel = 200'000;

}  // namespace

std::unique_ptr<TaskGradients> MakeTaskGradients(const Model& model, const Objective& objective,
                                                 const at::Device& device) {
  if (device.is_cpu() && model.mlp_shape() && ParameterCount(model) <= kLargestFusedModel) {
    return MakeMlpGradients(model, objective);
  }
  return MakeAutogradGradients(model, objective);
}

}  // namespace fedmeta
