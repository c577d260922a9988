#pragma once

#include <ATen/core/Tensor.h>

// For this room only.
namespace fedmeta {

// Arithmetic of flat vectors of one floating type, without a graph. A LibTorch operation takes
// about a microsecond however short its vectors are: with the few coefficients of a table's model
// that is most of the time of training. Short ones on the CPU are done in loops here, the others by
// LibTorch.

/// x + scale y, [P].
at::Tensor AddScaled(const at::Tensor& x, const at::Tensor& y, double scale);
/// x y, coordinate by coordinate, [P].
at::Tensor Multiply(const at::Tensor& x, const at::Tensor& y);

}  // namespace fedmeta
