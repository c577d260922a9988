#include "fedmeta/client/calibration.h"

#include <algorithm>
#include <cmath>
#include <set>

namespace fedmeta {
namespace {

constexpr std::size_t kLeastExamples = 20;
constexpr std::size_t kMostIntercepts = 20;
constexpr double kLeastScale = 1e-3;  // the temperature is at most 1000

using Vector = std::vector<double>;

/// Probabilities of one example under scale (1 / temperature) and intercepts, and -log of the
/// label's.
double Predict(const double* outputs, std::size_t count, const Vector& parameters,
               std::int64_t label, Vector& probabilities) {
  double largest = -INFINITY;
  for (std::size_t k = 0; k < count; ++k) {
    probabilities[k] =
        parameters[0] * outputs[k] + (parameters.size() > 1 ? parameters[1 + k] : 0.0);
    largest = std::max(largest, probabilities[k]);
  }
  const double of_label = probabilities[static_cast<std::size_t>(label)];
  double sum = 0;
  for (double& value : probabilities) {
    value = std::exp(value - largest);
    sum += value;
  }
  for (double& value : probabilities) value /= sum;
  return largest + std::log(sum) - of_label;
}

/// Solves m x = v for a symmetric positive definite m (row by row); overwrites both, x in `v`.
void SolvePositive(Vector& m, Vector& v) {
  const std::size_t n = v.size();
  for (std::size_t j = 0; j < n; ++j) {
    for (std::size_t k = 0; k < j; ++k) m[j * n + j] -= m[j * n + k] * m[j * n + k];
    m[j * n + j] = std::sqrt(std::max(m[j * n + j], 1e-12));
    for (std::size_t i = j + 1; i < n; ++i) {
      for (std::size_t k = 0; k < j; ++k) m[i * n + j] -= m[i * n + k] * m[j * n + k];
      m[i * n + j] /= m[j * n + j];
    }
  }
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t k = 0; k < i; ++k) v[i] -= m[i * n + k] * v[k];
    v[i] /= m[i * n + i];
  }
  for (std::size_t i = n; i-- > 0;) {
    for (std::size_t k = i + 1; k < n; ++k) v[i] -= m[k * n + i] * v[k];
    v[i] /= m[i * n + i];
  }
}

/// The penalised negative log-likelihood of some of the examples, which is convex in (1 /
/// temperature, intercepts).
class Likelihood {
 public:
  /// Without the examples of fold `left_out`, if it is one.
  Likelihood(const HeldOutOutputs& held_out, std::size_t left_out)
      : held_out_(held_out), left_out_(left_out), probabilities_(held_out.outputs) {}

  double Value(const Vector& parameters) {
    double sum = Penalty(parameters);
    for (std::size_t i = 0; i < held_out_.size(); ++i) {
      if (held_out_.fold[i] != left_out_) sum += Loss(parameters, i);
    }
    return sum;
  }

  /// One step of Newton's method, shortened until the value falls; false: it does not any more.
  bool Improve(Vector& parameters) {
    const std::size_t n = parameters.size();
    Vector gradient(n);
    Vector hessian(n * n);
    for (std::size_t a = 0; a < n; ++a) {
      gradient[a] = parameters[a] - (a == 0 ? 1.0 : 0.0);
      hessian[a * n + a] = 1;
    }
    for (std::size_t i = 0; i < held_out_.size(); ++i) {
      if (held_out_.fold[i] != left_out_) AddDerivatives(parameters, i, gradient, hessian);
    }
    SolvePositive(hessian, gradient);
    const double before = Value(parameters);
    for (double share = 1; share > 1e-6; share /= 2) {
      Vector next = parameters;
      for (std::size_t a = 0; a < n; ++a) next[a] -= share * gradient[a];
      next[0] = std::max(next[0], kLeastScale);
      const double after = Value(next);
      if (after < before) {
        parameters = std::move(next);
        return before - after > 1e-10 * std::abs(before);
      }
    }
    return false;
  }

 private:
  static double Penalty(const Vector& parameters) {
    double sum = (parameters[0] - 1) * (parameters[0] - 1);
    for (std::size_t a = 1; a < parameters.size(); ++a) sum += parameters[a] * parameters[a];
    return sum / 2;
  }
  const double* Outputs(std::size_t i) const {
    return held_out_.values.data() + i * held_out_.outputs;
  }
  double Loss(const Vector& parameters, std::size_t i) {
    return Predict(Outputs(i), held_out_.outputs, parameters, held_out_.labels[i], probabilities_);
  }

  // With x_k = (output k, the k-th unit vector): sum_k (p_k - y_k) x_k, and the covariance of x
  // under p.
  void AddDerivatives(const Vector& parameters, std::size_t i, Vector& gradient, Vector& hessian) {
    Loss(parameters, i);
    const std::size_t n = parameters.size();
    const double* z = Outputs(i);
    double mean = 0;
    double square = 0;
    for (std::size_t k = 0; k < held_out_.outputs; ++k) {
      mean += probabilities_[k] * z[k];
      square += probabilities_[k] * z[k] * z[k];
    }
    const auto label = static_cast<std::size_t>(held_out_.labels[i]);
    gradient[0] += mean - z[label];
    hessian[0] += square - mean * mean;
    if (n == 1) return;
    gradient[1 + label] -= 1;
    for (std::size_t k = 0; k < held_out_.outputs; ++k) {
      const double p = probabilities_[k];
      gradient[1 + k] += p;
      const double with_scale = p * (z[k] - mean);
      hessian[1 + k] += with_scale;
      hessian[(1 + k) * n] += with_scale;
      hessian[(1 + k) * n + 1 + k] += p;
      for (std::size_t l = 0; l < held_out_.outputs; ++l) {
        hessian[(1 + k) * n + 1 + l] -= p * probabilities_[l];
      }
    }
  }

  const HeldOutOutputs& held_out_;
  const std::size_t left_out_;
  Vector probabilities_;
};

Calibration FitWithout(const HeldOutOutputs& held_out, std::size_t left_out) {
  constexpr int kMostSteps = 100;
  Vector parameters(held_out.outputs <= kMostIntercepts ? 1 + held_out.outputs : 1);
  parameters[0] = 1;
  Likelihood likelihood(held_out, left_out);
  for (int step = 0; step < kMostSteps && likelihood.Improve(parameters); ++step) {
  }
  return {.temperature = 1 / parameters[0],
          .intercepts = {parameters.begin() + 1, parameters.end()}};
}

double SummedLoss(const HeldOutOutputs& held_out, const Calibration& calibration,
                  const std::size_t* only_fold) {
  Vector parameters = {1 / calibration.temperature};
  parameters.insert(parameters.end(), calibration.intercepts.begin(), calibration.intercepts.end());
  Vector probabilities(held_out.outputs);
  double sum = 0;
  for (std::size_t i = 0; i < held_out.size(); ++i) {
    if (only_fold != nullptr && held_out.fold[i] != *only_fold) continue;
    sum += Predict(held_out.values.data() + i * held_out.outputs, held_out.outputs, parameters,
                   held_out.labels[i], probabilities);
  }
  return sum;
}

}  // namespace

Calibration FitCalibration(const HeldOutOutputs& held_out, std::string& reason) {
  const std::set<std::int64_t> classes(held_out.labels.begin(), held_out.labels.end());
  const std::set<std::size_t> folds(held_out.fold.begin(), held_out.fold.end());
  if (held_out.size() < kLeastExamples || classes.size() < 2 || folds.size() < 2) {
    reason = "none: too few held-out predictions (at least 20, of two classes)";
    return {};
  }
  double with = 0;
  for (const std::size_t fold : folds) {
    with += SummedLoss(held_out, FitWithout(held_out, fold), &fold);
  }
  if (!(with < SummedLoss(held_out, {}, nullptr))) {
    reason = "none: it would not lower the log-loss of held-out predictions";
    return {};
  }
  reason = "temperature and intercepts fitted to held-out predictions";
  return FitWithout(held_out, SIZE_MAX);
}

double LogLoss(const HeldOutOutputs& held_out, const Calibration& calibration) {
  return SummedLoss(held_out, calibration, nullptr) / static_cast<double>(held_out.size());
}

}  // namespace fedmeta
