#pragma once

#include <cstdint>

namespace fedmeta {

/// C += A B for small matrices that stay in cache. C [rows, columns] and B [depth, columns] are
/// row-major and dense; A's element (r, k) lies at r * row_stride + k * depth_stride, so A may be a
/// transposed view. Each element adds its `depth` products in ascending order, whatever the width
/// of the vectors: results do not depend on blocking, on the number of rows beside it or on the
/// instruction set.
template <typename T>
struct SmallProductArguments {
  std::int64_t rows, columns, depth;
  const T* a;
  std::int64_t row_stride, depth_stride;
  const T* b;
  T* c;
};

template <typename T>
using SmallProduct = void (*)(const SmallProductArguments<T>&);

/// The fastest variant that this CPU runs.
template <typename T>
SmallProduct<T> ChooseSmallProduct();
extern template SmallProduct<float> ChooseSmallProduct<float>();
extern template SmallProduct<double> ChooseSmallProduct<double>();

}  // namespace fedmeta
