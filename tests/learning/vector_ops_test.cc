#include "fedmeta/algorithms/meta/vector_ops.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

namespace fedmeta {
namespace {

// Lengths on both sides of the one from which LibTorch does it.
TEST(VectorOpsTest, GiveWhatLibTorchGives) {
  for (const auto type : {at::kFloat, at::kDouble}) {
    const double tolerance = type == at::kFloat ? 1e-6 : 1e-15;
    for (const std::int64_t size : {1, 14, 1024, 1025}) {
      const at::Tensor x = at::randn({size}, type), y = at::randn({size}, type);
      EXPECT_TRUE(at::allclose(AddScaled(x, y, -0.3), x - 0.3 * y, tolerance, tolerance)) << size;
      EXPECT_TRUE(at::equal(Multiply(x, y), x * y)) << size;
      EXPECT_EQ(AddScaled(x, y, 2).scalar_type(), type);
    }
  }
}

TEST(VectorOpsTest, TakeRowsColumnsAndEachOperandAsItIs) {
  const at::Tensor table = at::randn({4, 6});
  const at::Tensor row = table.select(0, 2), column = table.select(1, 2);  // dense; strided
  EXPECT_TRUE(at::equal(Multiply(row, row), row * row));
  EXPECT_TRUE(at::equal(Multiply(column, column), column * column));
  const at::Tensor before = row.clone();
  AddScaled(row, row, 1);
  EXPECT_TRUE(at::equal(row, before));
  EXPECT_TRUE(at::allclose(AddScaled(row, at::ones({1}), 2), row + 2));  // broadcast, by LibTorch
}

}  // namespace
}  // namespace fedmeta
