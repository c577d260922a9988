#include "fedmeta/algorithms/meta/inner_loop.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <span>
#include <utility>

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include "fedmeta/algorithms/meta/vector_ops.h"
#include "fedmeta/core/check.h"

namespace fedmeta {
namespace {

constexpr double kBeta2 = 0.999;
constexpr double kEpsilon = 1e-8;
constexpr double kLargestGrowth = 10;
constexpr double kHarmlessLoss = 1;  // below it, growth is noise around a good fit

/// Which examples each step sees.
class Batches {
 public:
  Batches(const TaskSet& examples, std::uint32_t batch_size, Rng* rng)
      : examples_(examples), size_(batch_size), rng_(rng) {
    const std::int64_t count = examples.size();
    if (size_ == 0 || size_ >= count) {
      size_ = count;
      return;
    }
    FEDMETA_CHECK(rng != nullptr);
    order_.resize(static_cast<std::size_t>(count));
    std::iota(order_.begin(), order_.end(), 0);
    next_ = count;
  }

  std::uint32_t steps_of_a_pass() const {
    return static_cast<std::uint32_t>((examples_.size() + size_ - 1) /
                                      std::max<std::int64_t>(1, size_));
  }

  TaskSet Next() {
    if (order_.empty()) return examples_;
    const auto count = static_cast<std::int64_t>(order_.size());
    if (next_ == count) {
      rng_->Shuffle(std::span(order_));
      next_ = 0;
    }
    const std::int64_t taken = std::min(size_, count - next_);
    const at::Tensor rows = at::empty({taken}, at::kLong);
    std::copy_n(order_.begin() + next_, taken, rows.data_ptr<std::int64_t>());
    next_ += taken;
    const at::Tensor index = rows.to(examples_.inputs.device());
    return {.inputs = examples_.inputs.index_select(0, index),
            .targets = examples_.targets.index_select(0, index),
            .weights = examples_.weights.defined() ? examples_.weights.index_select(0, index)
                                                   : at::Tensor()};
  }

 private:
  const TaskSet& examples_;
  std::int64_t size_;
  Rng* rng_;
  std::vector<std::int64_t> order_;
  std::int64_t next_ = 0;
};

double ClipScale(const at::Tensor& gradient, double largest) {
  if (largest <= 0) return 1;
  const double norm = gradient.norm().item<double>();
  return norm > largest ? largest / norm : 1;
}

/// r of step k, [P]; undefined where there is none.
at::Tensor RateScale(const InnerLoopOptions& options, std::size_t k) {
  const at::Tensor& scale = options.rate_scale;
  if (!scale.defined() || scale.dim() == 1) return scale;
  return scale.select(0, std::min(static_cast<std::int64_t>(k), scale.size(0) - 1));
}

/// m times the gradient of the inner objective.
at::Tensor InnerObjectiveGradient(const at::Tensor& gradient, const at::Tensor& parameters,
                                  const at::Tensor& theta, double proximal,
                                  const at::Tensor& moved) {
  const at::Tensor whole =
      proximal > 0 ? AddScaled(gradient, AddScaled(parameters, theta, -1), proximal) : gradient;
  return moved.defined() ? Multiply(whole, moved) : whole;
}

/// One step of the optimiser; `second_moment` is Adam's, undefined before the first step.
at::Tensor Step(const at::Tensor& parameters, const InnerStep& step,
                const InnerLoopOptions& options, std::uint32_t k, at::Tensor& second_moment) {
  const at::Tensor rate_scale = RateScale(options, k);
  const auto scaled = [&](const at::Tensor& direction) {
    return rate_scale.defined() ? Multiply(direction, rate_scale) : direction;
  };
  if (options.optimizer == InnerLoopOptions::Optimizer::kSgd) {
    return AddScaled(parameters, scaled(step.gradient), -options.learning_rate * step.scale);
  }
  const at::Tensor clipped = step.gradient * step.scale;
  const at::Tensor square = clipped * clipped * (1 - kBeta2);
  second_moment = second_moment.defined() ? second_moment * kBeta2 + square : square;
  const double correction = 1 - std::pow(kBeta2, k + 1.0);
  const at::Tensor root = (second_moment / correction).sqrt() + kEpsilon;
  return AddScaled(parameters, scaled(clipped / root), -options.learning_rate);
}

bool Grew(double first, double last) {
  return !std::isfinite(last) || (last > kHarmlessLoss && last > kLargestGrowth * first);
}

}  // namespace

InnerResult RunInnerLoop(const TaskGradients& gradients, const at::Tensor& theta,
                         const TaskSet& examples, const InnerLoopOptions& options, Rng* rng,
                         KeepSteps keep, const InnerVisitor& visit) {
  FEDMETA_CHECK(keep == KeepSteps::kNone || options.optimizer == InnerLoopOptions::Optimizer::kSgd);
  const c10::NoGradGuard no_graph;
  Batches batches(examples, options.batch_size, rng);
  InnerResult result;
  result.parameters = theta;
  result.moved = MovedCoordinates(gradients.model(), options.scope, examples.size(), theta);
  at::Tensor second_moment;
  TaskSet first_batch;
  double first_loss = 0;
  for (std::uint32_t k = 0; k < options.steps; ++k) {
    if (visit && !visit(k, result.parameters)) return result;
    const TaskSet batch = batches.Next();
    InnerStep step;
    step.point = gradients.Compute(result.parameters, batch, keep == KeepSteps::kCurvature);
    if (!std::isfinite(step.point.loss)) {
      result.diverged = true;
      return result;
    }
    if (k == 0) {
      first_batch = batch;
      first_loss = step.point.sums.query_loss / step.point.sums.examples;
    }
    if (k + batches.steps_of_a_pass() >= options.steps) result.last_pass.Add(step.point.sums);
    step.gradient = InnerObjectiveGradient(step.point.gradient, result.parameters, theta,
                                           options.proximal, result.moved);
    step.scale = ClipScale(step.gradient, options.gradient_clip);
    result.parameters = Step(result.parameters, step, options, k, second_moment);
    if (keep != KeepSteps::kNone) result.steps.push_back(std::move(step));
  }
  if (options.steps > 0) {
    const MetricSums last = gradients.Measure(result.parameters, first_batch);
    result.diverged = Grew(first_loss, last.query_loss / last.examples);
  }
  if (visit && !result.diverged) visit(options.steps, result.parameters);
  return result;
}

InnerGradient BackThroughInnerLoop(const InnerResult& result, const InnerLoopOptions& options,
                                   at::Tensor v) {
  const c10::NoGradGuard no_graph;
  InnerGradient back;
  if (options.rate_scale.defined()) back.rate_scale = at::zeros_like(options.rate_scale);
  at::Tensor through_theta;  // by the proximal term, which every step looks back to theta with
  for (std::size_t k = result.steps.size(); k-- > 0;) {
    const InnerStep& step = result.steps[k];
    const at::Tensor& g = step.gradient;
    at::Tensor direction = v;
    if (options.rate_scale.defined()) {
      const at::Tensor product = Multiply(g, v);
      const double rate = options.learning_rate * step.scale;
      if (back.rate_scale.dim() == 1) {
        back.rate_scale = AddScaled(back.rate_scale, product, -rate);
      } else {
        RateScale({.rate_scale = back.rate_scale}, k).sub_(product, rate);
      }
      direction = Multiply(direction, RateScale(options, k));
    }
    if (!step.point.hessian_times) continue;
    if (step.scale < 1) {
      // The clipped gradient is C g / |g|, so its Jacobian is (C / |g|) (I - g g^T / |g|^2) times
      // that of g.
      const at::Tensor along = at::dot(g, direction) / at::dot(g, g);
      direction = (direction - g * along) * step.scale;
    }
    if (result.moved.defined()) direction = Multiply(direction, result.moved);
    v = AddScaled(v, step.point.hessian_times(direction), -options.learning_rate);
    if (options.proximal > 0) {
      const double pull = options.learning_rate * options.proximal;
      v = AddScaled(v, direction, -pull);
      through_theta = AddScaled(through_theta.defined() ? through_theta : at::zeros_like(direction),
                                direction, pull);
    }
  }
  back.theta = through_theta.defined() ? AddScaled(v, through_theta, 1) : v;
  return back;
}

}  // namespace fedmeta
