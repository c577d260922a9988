#pragma once

#include "fedmeta/algorithms/meta/inner_loop.h"
#include "fedmeta/algorithms/meta/learned_rates.h"
#include "fedmeta/algorithms/meta/meta_learner.h"

namespace fedmeta {

/// An algorithm whose state is a segment "theta", all tensors of the model; behind it a segment
/// "statistics" where the model's running statistics are averaged or frozen (running_statistics.h);
/// and last the learned step sizes, where there are any (learned_rates.h). It adapts by the shared
/// inner loop.
class ThetaLearner : public MetaLearner {
 public:
  Result<StateLayout> DescribeState(const Model& model) const final;
  Result<std::vector<float>> InitialState(const Model& model, Rng& rng) const final;
  Status Adapt(const LearnContext& context, const TaskGradients& gradients,
               std::span<const float> state, const TaskSet& support, const AdaptOptions& options,
               const std::function<void(std::uint32_t, const at::Tensor&)>& visit) const override;

 protected:
  /// The loop of adaptation; steps and learning rate are those of AdaptOptions. Batches only where
  /// an Rng is given.
  virtual InnerLoopOptions adaptation_loop() const { return {}; }
  virtual LearnedRates learned_rates() const { return {}; }
  /// Whether state, support set and options fit together; for Adapt.
  Status CheckAdaptation(const Model& model, std::span<const float> state, const TaskSet& support,
                         const AdaptOptions& options) const;
  /// Coordinates of the state.
  std::size_t StateCoordinates(const Model& model) const;
};

/// The flat state as a tensor of its own on `device`.
at::Tensor StateTensor(std::span<const float> state, const at::Device& device);
/// On `device`; tensors that are there already are shared.
TaskSet MoveTo(const TaskSet& set, const at::Device& device);
/// What a LibTorch or standard exception says, without values of data. Call in a catch block.
Error CurrentExceptionError();

}  // namespace fedmeta
