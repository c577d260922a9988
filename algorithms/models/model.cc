#include "fedmeta/algorithms/models/model.h"

#include <functional>
#include <numeric>

#include <ATen/ATen.h>

namespace fedmeta {
namespace {

std::int64_t Elements(const TensorSpec& tensor) {
  return std::accumulate(tensor.shape.begin(), tensor.shape.end(), std::int64_t{1},
                         std::multiplies<>());
}

}  // namespace

std::size_t ParameterCount(const Model& model) {
  std::int64_t count = 0;
  for (const TensorSpec& tensor : model.tensors()) count += Elements(tensor);
  return static_cast<std::size_t>(count);
}

std::vector<at::Tensor> SplitParameters(const Model& model, const at::Tensor& flat) {
  std::vector<std::int64_t> sizes;
  for (const TensorSpec& tensor : model.tensors()) sizes.push_back(Elements(tensor));
  // One node of the graph for all tensors; a narrow each would fill P zeros a tensor on the way
  // back.
  std::vector<at::Tensor> parts = at::split_with_sizes(flat, sizes);
  for (std::size_t i = 0; i < parts.size(); ++i) parts[i] = parts[i].view(model.tensors()[i].shape);
  return parts;
}

}  // namespace fedmeta
