#pragma once

#include <cstdint>
#include <string>

#include "fedmeta/core/result.h"

namespace fedmeta {

/// The server's learning rate over the rounds r = 1 .. R of an experiment. With p = (r - 1) / R:
///   constant  beta
///   linear    beta (1 - p)
///   cosine    beta (1 + cos(pi p)) / 2      (Loshchilov and Hutter 2017, without restarts)
/// Round 1 takes the full rate and no round takes 0. Immutable.
class LearningRateSchedule {
 public:
  /// An error for a name that is none of the three or a rate that is not finite and > 0.
  static Result<LearningRateSchedule> Create(const std::string& name, double rate,
                                             std::uint64_t rounds);
  double At(std::uint64_t round) const;

 private:
  enum class Shape : std::uint8_t { kConstant, kLinear, kCosine };
  LearningRateSchedule(Shape shape, double rate, std::uint64_t rounds)
      : shape_(shape), rate_(rate), rounds_(rounds) {}
  Shape shape_;
  double rate_;
  std::uint64_t rounds_;
};

}  // namespace fedmeta
