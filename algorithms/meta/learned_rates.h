#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include <ATen/core/Tensor.h>

#include "fedmeta/algorithms/models/model.h"
#include "fedmeta/core/state_layout.h"

namespace fedmeta {

/// Learned step sizes of the inner loop (`learn_inner_learning_rate`; Antoniou, Edwards, Storkey
/// 2019, "How to train your MAML", section 4): step k moves tensor l at the rate alpha exp(s_kl).
/// The s are a segment of the state that starts at 0 and that the server optimises like theta, so a
/// rate stays positive whatever the optimiser does.
class LearnedRates {
 public:
  enum class Kind : std::uint8_t {
    kNone,
    kScalar,        ///< one s
    kPerLayer,      ///< one a tensor of the model (weights and biases apart)
    kPerLayerStep,  ///< and step; steps beyond those of training take the last one's
  };
  LearnedRates() = default;
  /// `kind`: "none", "scalar", "per_layer", "per_layer_step"; `steps`: K of training.
  LearnedRates(const std::string& kind, std::uint32_t steps);

  /// Nothing where none are learned (also with K = 0, where no rate is used).
  std::optional<Segment> Describe(const Model& model) const;
  std::size_t size(const Model& model) const;
  /// exp(s) of each coordinate of theta, [P], or [K, P] with one for each step; `s` flat [size].
  at::Tensor Scale(const Model& model, const at::Tensor& s) const;
  /// Gradient in s, flat [size], from the gradient in Scale's result.
  at::Tensor Gradient(const Model& model, const at::Tensor& scale,
                      const at::Tensor& scale_gradient) const;

 private:
  Kind kind_ = Kind::kNone;
  std::int64_t steps_ = 0;
};

}  // namespace fedmeta
