#include "fedmeta/algorithms/meta/vector_ops.h"

#include <ATen/ATen.h>
#include <ATen/EmptyTensor.h>

namespace fedmeta {
namespace {

constexpr std::int64_t kShort = 1024;  // coordinates

bool IsShort(const at::Tensor& x) {
  return x.numel() <= kShort && x.device().is_cpu() && x.is_contiguous() &&
         (x.scalar_type() == at::kFloat || x.scalar_type() == at::kDouble);
}

bool AreShort(const at::Tensor& x, const at::Tensor& y) {
  return IsShort(x) && IsShort(y) && x.scalar_type() == y.scalar_type() && x.sizes() == y.sizes();
}

template <typename T, typename Operation>
at::Tensor Each(const at::Tensor& x, const at::Tensor& y, Operation operation) {
  at::Tensor result(at::detail::empty_cpu(x.sizes(), x.scalar_type()));
  const T* const left = x.data_ptr<T>();
  const T* const right = y.data_ptr<T>();
  T* const to = result.data_ptr<T>();
  for (std::int64_t i = 0; i < x.numel(); ++i) to[i] = operation(left[i], right[i]);
  return result;
}

template <typename Operation>
at::Tensor EachOf(const at::Tensor& x, const at::Tensor& y, Operation operation) {
  return x.scalar_type() == at::kDouble ? Each<double>(x, y, operation)
                                        : Each<float>(x, y, operation);
}

}  // namespace

at::Tensor AddScaled(const at::Tensor& x, const at::Tensor& y, double scale) {
  if (!AreShort(x, y)) return at::add(x, y, scale);
  return EachOf(x, y, [scale]<typename T>(T a, T b) { return a + static_cast<T>(scale) * b; });
}

at::Tensor Multiply(const at::Tensor& x, const at::Tensor& y) {
  if (!AreShort(x, y)) return x * y;
  return EachOf(x, y, []<typename T>(T a, T b) { return a * b; });
}

}  // namespace fedmeta
