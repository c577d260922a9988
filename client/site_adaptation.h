#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "fedmeta/client/adapt_figures.h"
#include "fedmeta/client/calibration.h"
#include "fedmeta/client/evaluator.h"
#include "fedmeta/client/trained_model.h"

namespace fedmeta {

/// A trained model at one site: draws tasks, adapts to them, says what the adapted models give for
/// their query sets. Borrows all that it is given. Not thread-safe.
class SiteAdaptation {
 public:
  SiteAdaptation(const TrainedModel& model, std::shared_ptr<const LegRuntime> leg,
                 const LocalClient& site, std::uint32_t shots, WorkerPool& pool);

  const Objective& objective() const { return objective_; }
  Result<std::vector<Episode>> Draw(v1::Part part, std::uint32_t count) const;
  /// The support set of `episode`, the site's first, dealt out `repeats` times; see CrossValidate.
  Result<std::vector<Episode>> Folds(const Episode& episode, std::size_t folds,
                                     std::size_t repeats) const;

  /// What models adapted to each episode give for its query set, by step count and episode; `steps`
  /// ascend.
  Result<std::vector<std::vector<QueryOutputs>>> Outputs(const std::vector<Episode>& episodes,
                                                         v1::Part part,
                                                         const std::vector<std::uint32_t>& steps,
                                                         double rate);
  /// The model adapted to an episode, as Outputs has it: `values` of `tensors`, statistics of
  /// normalisation last where it has given ones. kInvalidArgument: it diverged.
  struct Adapted {
    std::vector<TensorSpec> tensors;
    std::vector<float> values;
  };
  Result<Adapted> Adapt(const Episode& episode, std::uint32_t steps, double rate);

 private:
  using Visit = std::function<void(std::uint32_t, const at::Tensor&)>;
  Status Adapt(const Episode& episode, v1::Part part, std::uint32_t number,
               const std::vector<std::uint32_t>& steps, double rate, std::size_t worker,
               const Visit& visit) const;
  at::Tensor QueryOutput(const Episode& episode, const at::Tensor& parameters,
                         std::size_t worker) const;

  const TrainedModel& model_;
  const std::shared_ptr<const LegRuntime> leg_;
  const LocalClient site_;
  const std::uint32_t shots_;
  WorkerPool& pool_;
  const at::Device device_;
  const Objective objective_;
  std::vector<std::unique_ptr<TaskGradients>> gradients_;  // one a worker
};

/// Outputs under a calibration.
at::Tensor Calibrated(const at::Tensor& outputs, const Calibration& calibration);

}  // namespace fedmeta
