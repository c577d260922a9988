#pragma once

#include <functional>
#include <memory>
#include <span>
#include <vector>

#include <ATen/core/Tensor.h>

#include "fedmeta/algorithms/models/model.h"
#include "fedmeta/algorithms/models/objective.h"

namespace fedmeta {

struct TaskSet {
  at::Tensor inputs;   ///< [examples, ...]
  at::Tensor targets;  ///< as Objective says
  /// [examples], what each counts in the loss that is learned by; undefined: 1 each. Figures are
  /// never weighted.
  at::Tensor weights = {};
  std::int64_t size() const { return inputs.defined() ? inputs.size(0) : 0; }
};

/// The loss of one set of examples at one point, its gradient and, if asked for, its curvature
/// there.
struct LossGradient {
  double loss = 0;      ///< weighted, as the gradient is
  at::Tensor gradient;  ///< flat [P], no graph
  MetricSums sums;      ///< of the set at this point, as Measure gives them
  /// v [P] -> Hessian of the loss at this point times v [P]; may be called any number of times
  /// while its TaskGradients lives. Empty unless asked for.
  std::function<at::Tensor(const at::Tensor& v)> hessian_times;
};

/// Loss, gradient and Hessian-vector product of a model on a set of examples: everything that a
/// gradient-based meta-learner needs. Exact. Two implementations stand under the same contract
/// tests: autograd for any model, and a fused kernel for MLPs. Results do not depend on threads or
/// on what else is computed. Thread-compatible: one a worker. Bad shapes and targets throw
/// (LibTorch's exceptions or std::exception); MetaLearner catches.
class TaskGradients {
 public:
  virtual ~TaskGradients() = default;
  virtual const Model& model() const = 0;
  /// parameters: flat [P].
  virtual LossGradient Compute(const at::Tensor& parameters, const TaskSet& set,
                               bool with_curvature) const = 0;
  /// Forward only; normalises as training does.
  MetricSums Measure(const at::Tensor& parameters, const TaskSet& set) const {
    return Measure(parameters, set, {});
  }
  /// Forward only; normalises with `statistics` (flat, StatisticsCount), if defined.
  virtual MetricSums Measure(const at::Tensor& parameters, const TaskSet& set,
                             const at::Tensor& statistics) const = 0;
  /// What the model gives for each example, [examples, outputs], without a graph; normalises as
  /// Measure does.
  virtual at::Tensor Outputs(const at::Tensor& parameters, const TaskSet& set,
                             const at::Tensor& statistics) const = 0;
  /// The set's own statistics at this point, flat [StatisticsCount], without a graph; undefined for
  /// a model that has none.
  virtual at::Tensor Statistics(const at::Tensor& parameters, const TaskSet& set) const = 0;
};

/// Any model, by autograd. `frozen_statistics`, where defined, replace those of the batch at hand.
std::unique_ptr<TaskGradients> MakeAutogradGradients(const Model& model, const Objective& objective,
                                                     const at::Tensor& frozen_statistics = {});
/// An MLP (model.mlp_shape() set) by hand-written forward, backward and R-operator (Pearlmutter
/// 1994), float32 or float64 on the CPU.
std::unique_ptr<TaskGradients> MakeMlpGradients(const Model& model, const Objective& objective);
/// The faster of the two that fits. Keeps its own clone of the model. A model with
/// NormalizationStatistics::kFrozen needs its statistics (StatisticsOfState) as
/// `frozen_statistics`; others must have none.
std::unique_ptr<TaskGradients> MakeTaskGradients(const Model& model, const Objective& objective,
                                                 const at::Device& device,
                                                 const at::Tensor& frozen_statistics = {});

}  // namespace fedmeta
