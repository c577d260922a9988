#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include <ATen/core/Tensor.h>

#include "fedmeta/algorithms/meta/task_gradients.h"
#include "fedmeta/algorithms/models/model.h"
#include "fedmeta/algorithms/models/objective.h"
#include "fedmeta/core/bytes.h"
#include "fedmeta/core/metric_sums.h"
#include "fedmeta/core/result.h"
#include "fedmeta/core/rng.h"
#include "fedmeta/core/state_layout.h"
#include "fedmeta/core/worker_pool.h"

namespace fedmeta {

struct Task {
  TaskSet support, query;
};

/// Private data stays behind it. Not thread-safe: one a client.
class TaskSource {
 public:
  virtual ~TaskSource() = default;
  /// A training task. `support_per_class` > 0 asks for that many support examples a class instead
  /// of the experiment's.
  virtual Result<Task> Draw(Rng& rng, std::int64_t support_per_class = 0) = 0;
  /// All of this client's training examples (support and query) under its own labels, for the
  /// averaging algorithms. A source without a fixed set (sinusoid) draws one.
  virtual Result<TaskSet> Examples(Rng& rng) = 0;
};

struct ClientWork {
  TaskSource* tasks = nullptr;            ///< not owned
  std::span<const std::byte> state = {};  ///< what this client kept; empty the first time
  Rng* rng = nullptr;                     ///< this client's stream for this round
};

struct ClientUpdate {
  std::vector<float> update;  ///< StateLayout::size(); the server *subtracts* it
  double weight = 0;          ///< > 0, capped by the plan
  MetricSums metrics;
  Bytes next_state;  ///< kept only once the round is committed
};

/// Where and how to compute. The result depends on none of it, except `device`.
struct LearnContext {
  const Model& model;
  const Objective& objective;
  /// Null: on the calling thread. Its threads start with UseOneLibtorchThread (libtorch_process.h).
  WorkerPool* pool = nullptr;
  at::Device device = at::kCPU;
  /// Of training: what stands between the algorithm and its gradients (clipping and noise); empty:
  /// nothing. Called once a worker.
  std::function<std::unique_ptr<TaskGradients>(std::unique_ptr<TaskGradients>)> wrap = {};
};

/// How to adapt to one task.
struct AdaptOptions {
  std::vector<std::uint32_t> steps;  ///< ascending step counts at which `visit` is called
  double learning_rate = 0;
  Rng* rng = nullptr;  ///< for algorithms that draw batches; may be null where they do not
};

/// One algorithm. Immutable after construction, thread-safe. Source and equation stand in the .cc
/// file. LibTorch's exceptions end here as errors.
class MetaLearner {
 public:
  virtual ~MetaLearner() = default;
  /// What is exchanged: FOMAML {theta}, Meta-SGD {theta, alpha}, SCAFFOLD {theta, control}.
  virtual Result<StateLayout> DescribeState(const Model& model) const = 0;
  virtual Result<std::vector<float>> InitialState(const Model& model, Rng& rng) const = 0;
  /// Several clients at once, spread task by task over the pool. The result does not depend on how
  /// clients are grouped, bit for bit. One client's failure (no task, nothing finite) is that
  /// entry's error and touches no other.
  virtual std::vector<Result<ClientUpdate>> ComputeUpdates(const LearnContext& context,
                                                           std::span<const float> state,
                                                           std::span<ClientWork> work) const = 0;
  /// theta -> phi_k for each k of options.steps, in order (`state` is as exchanged; `gradients`
  /// know its frozen statistics): visit(k, phi) with phi flat [P] in model.tensors() order. Stops
  /// early, without error, when the loss is no longer finite: later steps are then not visited.
  virtual Status Adapt(const LearnContext& context, const TaskGradients& gradients,
                       std::span<const float> state, const TaskSet& support,
                       const AdaptOptions& options,
                       const std::function<void(std::uint32_t steps, const at::Tensor& parameters)>&
                           visit) const = 0;
  /// Of adaptation, when a plan names none.
  virtual double default_adaptation_rate() const = 0;
  /// False for `local`: no rounds, adaptation starts from InitialState.
  virtual bool trains() const { return true; }
  /// True for the averaging baselines: the model has an output for every label of the largest label
  /// set, and learns under the site's own labels rather than an episode's.
  virtual bool uses_site_labels() const { return false; }
  /// True where training happens on all sites' rows in one place: a baseline of simulations, which
  /// no live federation can run.
  virtual bool pools() const { return false; }
  /// Largest weight that a client of this algorithm may claim.
  virtual double maximum_weight() const { return 1.0; }
};

}  // namespace fedmeta
