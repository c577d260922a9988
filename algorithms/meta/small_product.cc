#include "fedmeta/algorithms/meta/small_product.h"

namespace fedmeta {
namespace {

// Vectors by the compiler's extension, of any alignment; where the instruction set is narrower, the
// compiler splits them.
template <typename T, int kBytes>
struct VectorOf {
  typedef T Type __attribute__((vector_size(kBytes), aligned(alignof(T)), may_alias));
  static constexpr std::int64_t kWidth = kBytes / static_cast<int>(sizeof(T));
};

#define FEDMETA_INLINE inline __attribute__((always_inline))

/// kRows x (kVectors vectors) of C, kept in registers over the whole depth.
template <typename T, int kBytes, int kRows, int kVectors>
FEDMETA_INLINE void Block(const SmallProductArguments<T>& m, std::int64_t row,
                          std::int64_t column) {
  using Vector = typename VectorOf<T, kBytes>::Type;
  constexpr std::int64_t kWidth = VectorOf<T, kBytes>::kWidth;
  Vector sums[kRows][kVectors];
  T* c = m.c + row * m.columns + column;
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) {
      sums[r][v] = *reinterpret_cast<const Vector*>(c + r * m.columns + v * kWidth);
    }
  }
  const T* a = m.a + row * m.row_stride;
  const T* b = m.b + column;
  for (std::int64_t k = 0; k < m.depth; ++k, a += m.depth_stride, b += m.columns) {
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      const T factor = a[r * m.row_stride];
#pragma GCC unroll 8
      for (int v = 0; v < kVectors; ++v) {
        sums[r][v] += factor * *reinterpret_cast<const Vector*>(b + v * kWidth);
      }
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) {
      *reinterpret_cast<Vector*>(c + r * m.columns + v * kWidth) = sums[r][v];
    }
  }
}

template <typename T, int kRows>
FEDMETA_INLINE void ScalarColumn(const SmallProductArguments<T>& m, std::int64_t row,
                                 std::int64_t column) {
  T sums[kRows];
  T* c = m.c + row * m.columns + column;
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) sums[r] = c[r * m.columns];
  const T* a = m.a + row * m.row_stride;
  const T* b = m.b + column;
  for (std::int64_t k = 0; k < m.depth; ++k, a += m.depth_stride, b += m.columns) {
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) sums[r] += a[r * m.row_stride] * *b;
  }
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) c[r * m.columns] = sums[r];
}

template <typename T, int kBytes, int kRows>
FEDMETA_INLINE void Rows(const SmallProductArguments<T>& m, std::int64_t row) {
  constexpr std::int64_t kWidth = VectorOf<T, kBytes>::kWidth;
  std::int64_t column = 0;
  for (; column + 2 * kWidth <= m.columns; column += 2 * kWidth) {
    Block<T, kBytes, kRows, 2>(m, row, column);
  }
  for (; column + kWidth <= m.columns; column += kWidth) Block<T, kBytes, kRows, 1>(m, row, column);
  for (; column < m.columns; ++column) ScalarColumn<T, kRows>(m, row, column);
}

template <typename T, int kBytes>
FEDMETA_INLINE void Product(const SmallProductArguments<T>& m) {
  std::int64_t row = 0;
  for (; row + 5 <= m.rows; row += 5) Rows<T, kBytes, 5>(m, row);
  for (; row + 2 <= m.rows; row += 2) Rows<T, kBytes, 2>(m, row);
  for (; row < m.rows; ++row) Rows<T, kBytes, 1>(m, row);
}

template <typename T>
void ProductBaseline(const SmallProductArguments<T>& m) {
  Product<T, 16>(m);
}

#if defined(__x86_64__)
template <typename T>
__attribute__((target("avx2"))) void ProductAvx2(const SmallProductArguments<T>& m) {
  Product<T, 32>(m);
}
#endif

#undef FEDMETA_INLINE

}  // namespace

template <typename T>
SmallProduct<T> ChooseSmallProduct() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2")) return &ProductAvx2<T>;
#endif
  return &ProductBaseline<T>;
}

template SmallProduct<float> ChooseSmallProduct<float>();
template SmallProduct<double> ChooseSmallProduct<double>();

}  // namespace fedmeta
