#include "fedmeta/client/record_private_gradients.h"

#include <cmath>
#include <stdexcept>
#include <utility>
#include <vector>

#include <ATen/ATen.h>

#include "fedmeta/privacy/discrete_gaussian.h"
#include "fedmeta/privacy/secret_rng.h"

namespace fedmeta {
namespace {

/// Units of the grid in the clip, at least.
constexpr double kUnitsOfClip = 0x1p24;

/// Only how many records there are.
MetricSums CountOf(const TaskSet& set) { return {.examples = static_cast<double>(set.size())}; }

class RecordPrivateGradients final : public TaskGradients {
 public:
  RecordPrivateGradients(std::unique_ptr<TaskGradients> gradients, const v1::PrivacyTerms& terms)
      : gradients_(std::move(gradients)),
        clip_(terms.clip()),
        noise_multiplier_(terms.noise_multiplier()),
        scale_(std::exp2(std::ceil(std::log2(kUnitsOfClip / terms.clip())))) {}

  const Model& model() const override { return gradients_->model(); }

  LossGradient Compute(const at::Tensor& parameters, const TaskSet& set,
                       bool with_curvature) const override {
    if (with_curvature) {
      throw std::invalid_argument(
          "record-level privacy has no second derivatives: use fomaml, reptile or fedavg");
    }
    std::vector<double> sum(static_cast<std::size_t>(parameters.numel()), 0.0);
    for (std::int64_t i = 0; i < set.size(); ++i) {
      AddClipped(gradients_->Compute(parameters, Record(set, i), false).gradient, sum);
    }
    AddNoise(sum);
    const double share = 1 / (scale_ * static_cast<double>(set.size()));
    at::Tensor mean = at::empty({parameters.numel()}, at::kDouble);
    double* const to = mean.data_ptr<double>();
    for (std::size_t i = 0; i < sum.size(); ++i) to[i] = sum[i] * share;
    LossGradient result;
    result.gradient = mean.to(parameters.options());
    result.sums = CountOf(set);
    return result;
  }

  MetricSums Measure(const at::Tensor& /*parameters*/, const TaskSet& set,
                     const at::Tensor& /*statistics*/) const override {
    return CountOf(set);
  }

  at::Tensor Outputs(const at::Tensor& /*parameters*/, const TaskSet& /*set*/,
                     const at::Tensor& /*statistics*/) const override {
    throw std::invalid_argument("record-level privacy shows no outputs of records");
  }

  at::Tensor Statistics(const at::Tensor& /*parameters*/, const TaskSet& /*set*/) const override {
    throw std::invalid_argument("record-level privacy has no statistics over records");
  }

 private:
  static TaskSet Record(const TaskSet& set, std::int64_t i) {
    return {set.inputs.narrow(0, i, 1), set.targets.narrow(0, i, 1)};
  }

  /// A gradient that is not finite adds nothing: that is within the clip too.
  void AddClipped(const at::Tensor& gradient, std::vector<double>& sum) const {
    const at::Tensor own = gradient.to(at::kCPU, at::kDouble).contiguous();
    const double* const values = own.data_ptr<double>();
    double squares = 0;
    for (std::size_t i = 0; i < sum.size(); ++i) squares += values[i] * values[i];
    if (!std::isfinite(squares)) return;
    const double norm = std::sqrt(squares);
    const double factor = norm > clip_ ? clip_ / norm : 1;
    for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += factor * values[i];
  }

  /// `sum` becomes whole units of the grid.
  void AddNoise(std::vector<double>& sum) const {
    const double sensitivity = scale_ * clip_ + std::sqrt(static_cast<double>(sum.size()));
    const double sigma = std::ceil(noise_multiplier_ * sensitivity);
    const auto noise = DiscreteGaussian::Create(static_cast<std::uint64_t>(sigma));
    if (!noise.ok()) throw std::invalid_argument(noise.error().message());
    for (double& value : sum) {
      value = std::nearbyint(value * scale_) + static_cast<double>(noise->Draw(rng_));
    }
  }

  const std::unique_ptr<TaskGradients> gradients_;
  const double clip_, noise_multiplier_, scale_;
  mutable SecretRng rng_;
};

}  // namespace

std::unique_ptr<TaskGradients> MakeRecordPrivateGradients(std::unique_ptr<TaskGradients> gradients,
                                                          const v1::PrivacyTerms& terms) {
  return std::make_unique<RecordPrivateGradients>(std::move(gradients), terms);
}

}  // namespace fedmeta
