#pragma once

#include <cstdint>
#include <string>

#include <ATen/core/Tensor.h>

#include "fedmeta/algorithms/models/model.h"

namespace fedmeta {

/// Which tensors adaptation moves (`adapts` of an algorithm's settings).
enum class AdaptationScope : std::uint8_t {
  /// With few labels only the intercept of a linear model (hidden: [] of mlp), else everything. A
  /// shift of the intercept answers a site's prevalence, which is most of what a few labels tell; a
  /// slope for each column would fit their noise.
  kAuto,
  kAll,
  kHead,       ///< the output layer (Raghu 2020)
  kIntercept,  ///< the output layer's bias
};

/// Few labels: at most so many examples.
inline constexpr std::int64_t kFewLabels = 10;

/// "auto", "all", "head", "intercept"; the schema allows no other text.
AdaptationScope ParseAdaptationScope(const std::string& text);

/// 1 where a coordinate of theta moves and 0 where it stays, [P] in the options of `like`;
/// undefined where everything moves. Throws std::invalid_argument for a model without an output
/// layer's bias, where one is asked for.
at::Tensor MovedCoordinates(const Model& model, AdaptationScope scope, std::int64_t examples,
                            const at::Tensor& like);

}  // namespace fedmeta
