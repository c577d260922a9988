// TaskGradients of an MLP on plain arrays: no graph, no dispatch.
#include <algorithm>
#include <memory>
#include <stdexcept>
#include <utility>
#include <vector>

#include <ATen/ATen.h>
#include <ATen/EmptyTensor.h>
#include <c10/core/GradMode.h>

#include "fedmeta/algorithms/meta/mlp_pass.h"
#include "fedmeta/algorithms/meta/task_gradients.h"
#include "fedmeta/core/check.h"

namespace fedmeta {
namespace {

/// Passes that are not in use, with their buffers. A curvature may outlive the TaskGradients, so
/// passes share it.
template <typename T>
class PassPool : public std::enable_shared_from_this<PassPool<T>> {
 public:
  PassPool(MlpShape shape, ObjectiveKind kind) : shape_(std::move(shape)), kind_(kind) {}

  std::shared_ptr<MlpPass<T>> Take() {
    std::unique_ptr<MlpPass<T>> pass;
    if (free_.empty()) {
      pass = std::make_unique<MlpPass<T>>(shape_, kind_);
    } else {
      pass = std::move(free_.back());
      free_.pop_back();
    }
    return {pass.release(), [pool = this->shared_from_this()](MlpPass<T>* used) {
              pool->free_.emplace_back(used);
            }};
  }

 private:
  MlpShape shape_;
  ObjectiveKind kind_;
  std::vector<std::unique_ptr<MlpPass<T>>> free_;
};

class MlpGradients final : public TaskGradients {
 public:
  MlpGradients(const Model& model, const MlpShape& shape, ObjectiveKind kind)
      : model_(model.Clone()),
        inputs_(shape.widths.front()),
        outputs_(shape.widths.back()),
        parameter_count_(static_cast<std::int64_t>(ParameterCount(model))),
        kind_(kind),
        floats_(std::make_shared<PassPool<float>>(shape, kind)),
        doubles_(std::make_shared<PassPool<double>>(shape, kind)) {}

  const Model& model() const override { return *model_; }

  LossGradient Compute(const at::Tensor& parameters, const TaskSet& set,
                       bool with_curvature) const override {
    return parameters.scalar_type() == at::kDouble
               ? ComputeIn<double>(*doubles_, parameters, set, with_curvature)
               : ComputeIn<float>(*floats_, parameters, set, with_curvature);
  }

  MetricSums Measure(const at::Tensor& parameters, const TaskSet& set,
                     const at::Tensor& /*statistics*/) const override {
    if (parameters.scalar_type() == at::kDouble) {
      return Forward<double>(*doubles_->Take(), parameters, set);
    }
    return Forward<float>(*floats_->Take(), parameters, set);
  }

  at::Tensor Outputs(const at::Tensor& parameters, const TaskSet& set,
                     const at::Tensor& /*statistics*/) const override {
    if (parameters.scalar_type() == at::kDouble) {
      return OutputsIn<double>(*doubles_, parameters, set);
    }
    return OutputsIn<float>(*floats_, parameters, set);
  }

  at::Tensor Statistics(const at::Tensor& /*parameters*/, const TaskSet& /*set*/) const override {
    return {};
  }

 private:
  template <typename T>
  MetricSums Forward(MlpPass<T>& pass, const at::Tensor& parameters, const TaskSet& set) const {
    constexpr at::ScalarType kType = c10::CppTypeToScalarType<T>::value;
    const std::int64_t examples = set.size();
    const bool classes = kind_ == ObjectiveKind::kCrossEntropy;
    const at::Tensor inputs = Dense(set.inputs, kType, examples * inputs_, "inputs");
    const at::Tensor targets = Dense(set.targets, classes ? at::kLong : kType,
                                     classes ? examples : examples * outputs_, "targets");
    const at::Tensor point = Dense(parameters, kType, parameter_count_, "parameters");
    MlpTargets<T> values;
    if (classes) {
      values.classes = targets.data_ptr<std::int64_t>();
    } else {
      values.values = targets.data_ptr<T>();
    }
    const at::Tensor weights =
        set.weights.defined() ? Dense(set.weights, kType, examples, "weights") : at::Tensor();
    if (weights.defined()) values.weights = weights.data_ptr<T>();
    return pass.Forward(point.data_ptr<T>(), inputs.data_ptr<T>(), values, examples);
  }

  template <typename T>
  at::Tensor OutputsIn(PassPool<T>& pool, const at::Tensor& parameters, const TaskSet& set) const {
    const std::shared_ptr<MlpPass<T>> pass = pool.Take();
    Forward(*pass, parameters, set);
    at::Tensor outputs =
        at::empty({set.size(), outputs_}, parameters.options().requires_grad(false));
    std::copy_n(pass->outputs().data(), outputs.numel(), outputs.template data_ptr<T>());
    return outputs;
  }

  /// The tensor as a dense array of `count` values of one type.
  static at::Tensor Dense(const at::Tensor& tensor, at::ScalarType type, std::int64_t count,
                          const char* what) {
    if (!tensor.defined() || tensor.numel() != count || count == 0) {
      throw std::invalid_argument(std::string(what) + " must hold " + std::to_string(count) +
                                  " values (at least 1), got " +
                                  std::to_string(tensor.defined() ? tensor.numel() : 0));
    }
    if (tensor.scalar_type() == type && tensor.is_contiguous()) return tensor;
    return tensor.to(type).contiguous();
  }

  template <typename T>
  LossGradient ComputeIn(PassPool<T>& pool, const at::Tensor& parameters, const TaskSet& set,
                         bool with_curvature) const {
    const c10::NoGradGuard no_graph;
    std::shared_ptr<MlpPass<T>> pass = pool.Take();
    LossGradient result;
    result.sums = Forward(*pass, parameters, set);
    result.loss = pass->loss();
    constexpr at::ScalarType kType = c10::CppTypeToScalarType<T>::value;
    result.gradient = at::detail::empty_cpu({parameter_count_}, kType);
    pass->Backward(result.gradient.template data_ptr<T>());
    if (with_curvature) {
      result.hessian_times = [pass = std::move(pass),
                              count = parameter_count_](const at::Tensor& v) {
        const c10::NoGradGuard no_graph_here;
        const at::Tensor direction = Dense(v, kType, count, "v");
        at::Tensor product(at::detail::empty_cpu({count}, kType));
        pass->HessianTimes(direction.template data_ptr<T>(), product.template data_ptr<T>());
        return product;
      };
    }
    return result;
  }

  std::unique_ptr<Model> model_;
  std::int64_t inputs_, outputs_, parameter_count_;
  ObjectiveKind kind_;
  std::shared_ptr<PassPool<float>> floats_;
  std::shared_ptr<PassPool<double>> doubles_;
};

}  // namespace

std::unique_ptr<TaskGradients> MakeMlpGradients(const Model& model, const Objective& objective) {
  const std::optional<MlpShape> shape = model.mlp_shape();
  FEDMETA_CHECK(shape.has_value());
  return std::make_unique<MlpGradients>(model, *shape, objective.kind());
}

}  // namespace fedmeta
