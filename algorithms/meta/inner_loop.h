#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include <ATen/core/Tensor.h>

#include "fedmeta/algorithms/meta/adaptation_scope.h"
#include "fedmeta/algorithms/meta/task_gradients.h"
#include "fedmeta/core/metric_sums.h"
#include "fedmeta/core/rng.h"

namespace fedmeta {

/// The inner loop that all algorithms share: phi_0 = theta, phi_{k+1} = phi_k - alpha r_k m clip(m
/// g_k), g_k = grad L_S(phi_k) + lambda (phi_k - theta); m is 1 for the coordinates that move and 0
/// for the others, r_k multiplies alpha.
struct InnerLoopOptions {
  enum class Optimizer : std::uint8_t {
    kSgd,
    kAdam,  ///< beta1 = 0, beta2 = .999, epsilon = 1e-8; starts anew for each task (Nichol 2018)
  };
  Optimizer optimizer = Optimizer::kSgd;
  double learning_rate = 0;
  std::uint32_t steps = 0;
  double gradient_clip = 0;  ///< largest L2 norm of a step's gradient; 0: off
  std::uint32_t batch_size =
      0;  ///< examples of a step, in shuffled passes (the last of a pass may be smaller); 0: all
  double proximal = 0;  ///< lambda: the inner objective is L_S + lambda / 2 |phi - theta|^2
  AdaptationScope scope = AdaptationScope::kAll;  ///< which coordinates move
  /// r: [P], or [K, P] with a row a step, the last one also for later steps; undefined: 1.
  at::Tensor rate_scale = {};
};

/// What going back through one step needs.
struct InnerStep {
  LossGradient point;   ///< loss, gradient and curvature at phi_k
  at::Tensor gradient;  ///< m g_k
  double scale = 1;     ///< the clipped gradient over the gradient
};

struct InnerResult {
  at::Tensor parameters;  ///< phi_K, flat [P]
  /// K of them where they were kept, else empty.
  std::vector<InnerStep> steps;
  at::Tensor moved;  ///< m [P]; undefined: everything moves
  MetricSums
      last_pass;  ///< of the steps of the last pass over the examples, each before it was taken
  /// The loss became non-finite, or on the examples of the first step it ended above 1 and above 10
  /// times where it began.
  bool diverged = false;
};

/// Called with k and phi_k, k = 0..K, as long as the loss stays finite; false ends the loop.
using InnerVisitor = std::function<bool(std::uint32_t k, const at::Tensor& parameters)>;

/// What to keep of the steps.
enum class KeepSteps : std::uint8_t { kNone, kGradients, kCurvature };

/// K steps on `examples`. Any floating dtype: that of theta. `rng` is read only where batch_size is
/// below the number of examples, and must be there then. Kept steps need Optimizer::kSgd.
InnerResult RunInnerLoop(const TaskGradients& gradients, const at::Tensor& theta,
                         const TaskSet& examples, const InnerLoopOptions& options, Rng* rng,
                         KeepSteps keep, const InnerVisitor& visit = {});

/// A gradient at phi_K taken back through the loop.
struct InnerGradient {
  at::Tensor theta;       ///< [P]
  at::Tensor rate_scale;  ///< in the shape of InnerLoopOptions::rate_scale; undefined without it
};
/// (d phi_K / d theta)^T v and (d phi_K / d r)^T v for the steps of `result`, exact with
/// KeepSteps::kCurvature, the clipping of gradients and the proximal term included. With
/// KeepSteps::kGradients to first order: no gradient depends on where it was taken.
InnerGradient BackThroughInnerLoop(const InnerResult& result, const InnerLoopOptions& options,
                                   at::Tensor v);

}  // namespace fedmeta
