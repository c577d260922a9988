#include "fedmeta/algorithms/server/learning_rate_schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "fedmeta/core/text.h"

namespace fedmeta {

Result<LearningRateSchedule> LearningRateSchedule::Create(const std::string& name, double rate,
                                                          std::uint64_t rounds) {
  if (!std::isfinite(rate) || rate <= 0) {
    return Error(ErrorCode::kInvalidArgument,
                 "learning_rate must be finite and > 0, got " + FormatNumber(rate));
  }
  const std::uint64_t length = std::max<std::uint64_t>(rounds, 1);
  if (name == "constant") return LearningRateSchedule(Shape::kConstant, rate, length);
  if (name == "linear") return LearningRateSchedule(Shape::kLinear, rate, length);
  if (name == "cosine") return LearningRateSchedule(Shape::kCosine, rate, length);
  return Error(ErrorCode::kInvalidArgument,
               "learning_rate_schedule must be constant, linear or cosine, got '" + name + "'");
}

double LearningRateSchedule::At(std::uint64_t round) const {
  // Rounds outside 1 .. R cannot lead to a negative or rising rate.
  const std::uint64_t done = std::clamp<std::uint64_t>(round, 1, rounds_) - 1;
  const double progress = static_cast<double>(done) / static_cast<double>(rounds_);
  switch (shape_) {
    case Shape::kLinear:
      return rate_ * (1 - progress);
    case Shape::kCosine:
      return rate_ * (1 + std::cos(std::numbers::pi * progress)) / 2;
    case Shape::kConstant:
      break;
  }
  return rate_;
}

}  // namespace fedmeta
