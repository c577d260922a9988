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

std::size_t Count(std::span<const TensorSpec> tensors) {
  std::int64_t count = 0;
  for (const TensorSpec& tensor : tensors) count += Elements(tensor);
  return static_cast<std::size_t>(count);
}

std::vector<at::Tensor> Split(std::span<const TensorSpec> tensors, const at::Tensor& flat) {
  std::vector<std::int64_t> sizes;
  for (const TensorSpec& tensor : tensors) sizes.push_back(Elements(tensor));
  // One node of the graph for all tensors; a narrow each would fill P zeros a tensor on the way
  // back.
  std::vector<at::Tensor> parts = at::split_with_sizes(flat, sizes);
  for (std::size_t i = 0; i < parts.size(); ++i) parts[i] = parts[i].view(tensors[i].shape);
  return parts;
}

}  // namespace

std::size_t ParameterCount(const Model& model) { return Count(model.tensors()); }
std::size_t StatisticsCount(const Model& model) { return Count(model.statistics()); }

std::vector<float> InitialStatistics(const Model& model) {
  std::vector<float> values;
  values.reserve(StatisticsCount(model));
  bool variance = false;  // means and variances alternate
  for (const TensorSpec& tensor : model.statistics()) {
    values.insert(values.end(), static_cast<std::size_t>(Elements(tensor)), variance ? 1.0F : 0.0F);
    variance = !variance;
  }
  return values;
}

std::vector<at::Tensor> SplitParameters(const Model& model, const at::Tensor& flat) {
  return Split(model.tensors(), flat);
}

std::vector<at::Tensor> SplitStatistics(const Model& model, const at::Tensor& flat) {
  return Split(model.statistics(), flat);
}

}  // namespace fedmeta
