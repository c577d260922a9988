#pragma once

#include <bit>
#include <cstddef>
#include <span>
#include <vector>

#include "fedmeta/core/rng.h"

namespace fedmeta {

/// The randomised Hadamard transform (Ailon and Chazelle 2006; before quantisation: Suresh, Yu,
/// Kumar and McMahan 2017, "Distributed mean estimation with limited communication"): random signs,
/// then the fast Walsh-Hadamard transform, orthonormal. A size that is no power of two takes two of
/// them, over the first and then over the last block of the largest power of two that fits: nothing
/// is padded, lengths stay, and each coordinate of the result is a sum of block() or more others
/// with random signs. Immutable, thread-safe.
class RandomRotation {
 public:
  RandomRotation(std::size_t size, Rng& signs);  ///< size > 0

  std::size_t size() const { return size_; }
  std::size_t block() const { return std::bit_floor(size_); }
  /// In place; `values` are size().
  void Apply(std::span<float> values) const;
  void Invert(std::span<double> values) const;

 private:
  std::size_t size_;
  std::vector<bool> first_, last_;  // which coordinates change their sign; `last_` is often empty
};

/// What coordinates of a rotated vector of L2 norm `norm` stay below: one of them goes beyond in
/// less than one of a thousand rotations. A coordinate is a sum of `block` terms with random signs,
/// so that Hoeffding's inequality bounds each.
double RotatedBound(std::size_t size, double norm);

}  // namespace fedmeta
