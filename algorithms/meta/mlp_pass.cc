#include "fedmeta/algorithms/meta/mlp_pass.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <string>

namespace fedmeta {
namespace {

template <typename T>
void Transpose(const T* from, std::int64_t rows, std::int64_t columns, std::vector<T>& to) {
  to.resize(static_cast<std::size_t>(rows * columns));
  for (std::int64_t c = 0; c < columns; ++c) {
    for (std::int64_t r = 0; r < rows; ++r) {
      to[static_cast<std::size_t>(c * rows + r)] = from[r * columns + c];
    }
  }
}

template <typename T>
void RepeatRow(const T* row, std::int64_t rows, std::int64_t columns, T* to) {
  for (std::int64_t r = 0; r < rows; ++r) to = std::copy_n(row, columns, to);
}

template <typename T>
void AddRows(const T* from, std::int64_t rows, std::int64_t columns, T* sum) {
  std::fill_n(sum, columns, T{0});
  for (std::int64_t r = 0; r < rows; ++r) {
    for (std::int64_t c = 0; c < columns; ++c) sum[c] += from[r * columns + c];
  }
}

template <typename T>
T Sigmoid(T z) {
  return T{1} / (T{1} + std::exp(-z));
}

}  // namespace

template <typename T>
MlpPass<T>::MlpPass(const MlpShape& shape, ObjectiveKind kind)
    : activation_(shape.activation), kind_(kind), product_(ChooseSmallProduct<T>()) {
  for (std::size_t l = 0; l + 1 < shape.widths.size(); ++l) {
    Layer layer;
    layer.in = shape.widths[l];
    layer.out = shape.widths[l + 1];
    layer.weight = parameter_count_;
    layer.bias = layer.weight + static_cast<std::size_t>(layer.in * layer.out);
    parameter_count_ = layer.bias + static_cast<std::size_t>(layer.out);
    layers_.push_back(std::move(layer));
  }
}

template <typename T>
const T* MlpPass<T>::InputsOf(std::size_t layer) const {
  return layer == 0 ? inputs_.data() : layers_[layer - 1].outputs.data();
}

template <typename T>
void MlpPass<T>::Multiply(std::int64_t rows, std::int64_t columns, std::int64_t depth, const T* a,
                          std::int64_t row_stride, std::int64_t depth_stride, const T* b,
                          T* c) const {
  product_({rows, columns, depth, a, row_stride, depth_stride, b, c});
}

/// outputs hold z on entry, a(z) on return; slope and bend are filled.
template <typename T>
void MlpPass<T>::Activate(Layer& layer) {
  const std::size_t count = layer.outputs.size();
  layer.slope.resize(count);
  layer.bend.resize(count);
  T* x = layer.outputs.data();
  T* slope = layer.slope.data();
  T* bend = layer.bend.data();
  switch (activation_) {
    case MlpShape::Activation::kRelu:
      for (std::size_t i = 0; i < count; ++i) {
        const T z = x[i];
        slope[i] = z > T{0} ? T{1} : T{0};
        x[i] = z < T{0} ? T{0} : z;  // a NaN stays one
      }
      std::fill_n(bend, count, T{0});
      return;
    case MlpShape::Activation::kTanh:
      for (std::size_t i = 0; i < count; ++i) {
        x[i] = std::tanh(x[i]);
        slope[i] = T{1} - x[i] * x[i];
        bend[i] = T{-2} * x[i] * slope[i];
      }
      return;
    case MlpShape::Activation::kSoftplus:
      for (std::size_t i = 0; i < count; ++i) {
        if (x[i] > T{20}) {  // PyTorch's threshold: the identity beyond it
          slope[i] = T{1};
          bend[i] = T{0};
          continue;
        }
        slope[i] = Sigmoid(x[i]);
        bend[i] = slope[i] * (T{1} - slope[i]);
        x[i] = std::log1p(std::exp(x[i]));
      }
      return;
  }
}

template <typename T>
MetricSums MlpPass<T>::Forward(const T* parameters, const T* inputs, const MlpTargets<T>& targets,
                               std::int64_t examples) {
  examples_ = examples;
  parameters_.assign(parameters, parameters + parameter_count_);
  inputs_.assign(inputs, inputs + examples * layers_.front().in);
  for (std::size_t l = 0; l < layers_.size(); ++l) {
    Layer& layer = layers_[l];
    Transpose(parameters + layer.weight, layer.out, layer.in, layer.transposed);
    layer.outputs.resize(static_cast<std::size_t>(examples * layer.out));
    RepeatRow(parameters + layer.bias, examples, layer.out, layer.outputs.data());
    Multiply(examples, layer.out, layer.in, InputsOf(l), layer.in, 1, layer.transposed.data(),
             layer.outputs.data());
    if (l + 1 < layers_.size()) Activate(layer);
  }
  return OutputLoss(targets);
}

/// Loss, metrics and the last layer's delta.
template <typename T>
MetricSums MlpPass<T>::OutputLoss(const MlpTargets<T>& targets) {
  Layer& last = layers_.back();
  const std::int64_t width = last.out;
  const auto count = last.outputs.size();
  last.delta.resize(count);
  probabilities_.resize(count);
  shares_.assign(static_cast<std::size_t>(examples_), T{1} / static_cast<T>(examples_));
  if (targets.weights != nullptr) {
    for (std::int64_t n = 0; n < examples_; ++n)
      shares_[static_cast<std::size_t>(n)] *= targets.weights[n];
  }
  loss_ = 0;
  MetricSums sums;
  sums.examples = static_cast<double>(examples_);
  for (std::int64_t n = 0; n < examples_; ++n) {
    const T* z = last.outputs.data() + n * width;
    T* p = probabilities_.data() + n * width;
    T* delta = last.delta.data() + n * width;
    const T examples_share = shares_[static_cast<std::size_t>(n)];
    const T share = examples_share / static_cast<T>(width);
    double loss = 0;
    bool correct = kind_ == ObjectiveKind::kBinaryCrossEntropy;
    if (kind_ == ObjectiveKind::kCrossEntropy) {
      const std::int64_t target = targets.classes[n];
      if (target < 0 || target >= width) {
        throw std::out_of_range("a label lies outside the model's " + std::to_string(width) +
                                " outputs");
      }
      const T* largest = std::max_element(z, z + width);
      T total = 0;
      for (std::int64_t o = 0; o < width; ++o) total += p[o] = std::exp(z[o] - *largest);
      for (std::int64_t o = 0; o < width; ++o) {
        p[o] /= total;
        delta[o] = (p[o] - (o == target ? T{1} : T{0})) * examples_share;
      }
      loss = std::log(total) + *largest - z[target];
      correct = largest - z == target;
    }
    for (std::int64_t o = 0; o < width && kind_ != ObjectiveKind::kCrossEntropy; ++o) {
      const T y = targets.values[n * width + o];
      if (kind_ == ObjectiveKind::kBinaryCrossEntropy) {
        p[o] = Sigmoid(z[o]);
        delta[o] = (p[o] - y) * share;
        loss += std::max(z[o], T{0}) - z[o] * y + std::log1p(std::exp(-std::abs(z[o])));
        correct = correct && (z[o] > T{0}) == (y > T{0.5});
      } else {
        const T difference = z[o] - y;
        delta[o] = T{2} * difference * share;
        loss += difference * difference;
      }
    }
    if (kind_ != ObjectiveKind::kCrossEntropy) loss /= static_cast<double>(width);
    sums.query_loss += loss;
    sums.correct += correct ? 1 : 0;
    if (targets.weights != nullptr) loss_ += loss * targets.weights[n];
  }
  loss_ = (targets.weights != nullptr ? loss_ : sums.query_loss) / sums.examples;
  return sums;
}

template <typename T>
void MlpPass<T>::Backward(T* gradient) {
  std::fill_n(gradient, parameter_count_, T{0});
  for (std::size_t l = layers_.size(); l-- > 0;) {
    Layer& layer = layers_[l];
    const T* delta = layer.delta.data();
    Multiply(layer.out, layer.in, examples_, delta, 1, layer.out, InputsOf(l),
             gradient + layer.weight);
    AddRows(delta, examples_, layer.out, gradient + layer.bias);
    if (l == 0) break;
    Layer& below = layers_[l - 1];
    const std::size_t count = below.outputs.size();
    upstream_.assign(count, T{0});
    Multiply(examples_, layer.in, layer.out, delta, layer.out, 1, parameters_.data() + layer.weight,
             upstream_.data());
    below.delta.resize(count);
    for (std::size_t i = 0; i < count; ++i) {
      below.delta[i] = below.slope[i] * upstream_[i];
      below.bend[i] *= upstream_[i];
    }
  }
}

/// R{d_L} from R{z_L}.
template <typename T>
void MlpPass<T>::DirectionalOutputDelta(const Buffer& r_outputs, Buffer& r_delta) const {
  const std::int64_t width = layers_.back().out;
  r_delta.resize(r_outputs.size());
  for (std::int64_t n = 0; n < examples_; ++n) {
    const T examples_share = shares_[static_cast<std::size_t>(n)];
    const T share = examples_share / static_cast<T>(width);
    const T* p = probabilities_.data() + n * width;
    const T* r = r_outputs.data() + n * width;
    T* to = r_delta.data() + n * width;
    T mean = 0;
    if (kind_ == ObjectiveKind::kCrossEntropy) {
      for (std::int64_t o = 0; o < width; ++o) mean += p[o] * r[o];
    }
    for (std::int64_t o = 0; o < width; ++o) {
      switch (kind_) {
        case ObjectiveKind::kCrossEntropy:
          to[o] = p[o] * (r[o] - mean) * examples_share;
          break;
        case ObjectiveKind::kBinaryCrossEntropy:
          to[o] = p[o] * (T{1} - p[o]) * r[o] * share;
          break;
        case ObjectiveKind::kMeanSquaredError:
          to[o] = T{2} * r[o] * share;
          break;
      }
    }
  }
}

template <typename T>
void MlpPass<T>::HessianTimes(const T* v, T* product) {
  for (std::size_t l = 0; l < layers_.size(); ++l) {
    Layer& layer = layers_[l];
    const std::size_t count = layer.outputs.size();
    layer.r_inner.resize(count);
    RepeatRow(v + layer.bias, examples_, layer.out, layer.r_inner.data());
    Transpose(v + layer.weight, layer.out, layer.in, transposed_v_);
    Multiply(examples_, layer.out, layer.in, InputsOf(l), layer.in, 1, transposed_v_.data(),
             layer.r_inner.data());
    if (l > 0) {
      Multiply(examples_, layer.out, layer.in, layers_[l - 1].r_outputs.data(), layer.in, 1,
               layer.transposed.data(), layer.r_inner.data());
    }
    if (l + 1 == layers_.size()) break;
    layer.r_outputs.resize(count);
    for (std::size_t i = 0; i < count; ++i) layer.r_outputs[i] = layer.slope[i] * layer.r_inner[i];
  }
  DirectionalOutputDelta(layers_.back().r_inner, r_delta_);
  std::fill_n(product, parameter_count_, T{0});
  for (std::size_t l = layers_.size(); l-- > 0;) {
    Layer& layer = layers_[l];
    const T* delta = layer.delta.data();
    Multiply(layer.out, layer.in, examples_, r_delta_.data(), 1, layer.out, InputsOf(l),
             product + layer.weight);
    AddRows(r_delta_.data(), examples_, layer.out, product + layer.bias);
    if (l == 0) break;
    Layer& below = layers_[l - 1];
    Multiply(layer.out, layer.in, examples_, delta, 1, layer.out, below.r_outputs.data(),
             product + layer.weight);
    const std::size_t count = below.outputs.size();
    r_upstream_.assign(count, T{0});
    Multiply(examples_, layer.in, layer.out, r_delta_.data(), layer.out, 1,
             parameters_.data() + layer.weight, r_upstream_.data());
    Multiply(examples_, layer.in, layer.out, delta, layer.out, 1, v + layer.weight,
             r_upstream_.data());
    r_delta_.resize(count);
    for (std::size_t i = 0; i < count; ++i) {
      r_delta_[i] = below.slope[i] * r_upstream_[i] + below.bend[i] * below.r_inner[i];
    }
  }
}

template class MlpPass<float>;
template class MlpPass<double>;

}  // namespace fedmeta
