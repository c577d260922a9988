#pragma once

#include <cstdint>
#include <vector>

#include "fedmeta/algorithms/meta/small_product.h"
#include "fedmeta/algorithms/models/model.h"
#include "fedmeta/algorithms/models/objective.h"

namespace fedmeta {

/// Targets of `examples` rows: classes for cross-entropy, else values [examples, outputs]; and what
/// each row counts in the loss, null: 1 each.
template <typename T>
struct MlpTargets {
  const std::int64_t* classes = nullptr;
  const T* values = nullptr;
  const T* weights = nullptr;
};

/// One pass of an MLP over one set of examples at one point: forward, backward and the R-operator
/// (Pearlmutter 1994) on plain arrays. Keeps what the R-operator needs again; its buffers are
/// reused from pass to pass.
///
/// Layer l = 1..L: z_l = x_{l-1} W_l^T + b_l, x_l = a(z_l); g_l = dLoss/dx_l, d_l = dLoss/dz_l =
/// a'(z_l) g_l. With R{.} the derivative along v = (V, c): R{z_l} = R{x_{l-1}} W_l^T + x_{l-1}
/// V_l^T + c_l, R{d_l} = a'(z_l) R{g_l} + a''(z_l) R{z_l} g_l, R{g_{l-1}} = R{d_l} W_l + d_l V_l.
/// Not thread-safe.
template <typename T>
class MlpPass {
 public:
  MlpPass(const MlpShape& shape, ObjectiveKind kind);

  /// Outputs and metric sums at `parameters` [P]; inputs [examples, widths.front()].
  /// Throws std::out_of_range for a class that the model has no output for.
  MetricSums Forward(const T* parameters, const T* inputs, const MlpTargets<T>& targets,
                     std::int64_t examples);
  /// The weighted mean loss, and the model's outputs [examples, widths.back()]; after Forward.
  double loss() const { return loss_; }
  const std::vector<T>& outputs() const { return layers_.back().outputs; }
  /// gradient [P] of loss(); after Forward.
  void Backward(T* gradient);
  /// product [P] = Hessian times v [P]; after Backward.
  void HessianTimes(const T* v, T* product);

 private:
  using Buffer = std::vector<T>;
  struct Layer {
    std::int64_t in = 0, out = 0;
    std::size_t weight = 0, bias = 0;  ///< offsets in the flat vector
    Buffer transposed;                 ///< W^T [in, out]
    Buffer outputs;                    ///< x_l (the last layer: z_L) [examples, out]
    Buffer slope;                      ///< a'(z_l)
    Buffer bend;                       ///< a''(z_l), times g_l once Backward has run
    Buffer delta;                      ///< d_l
    Buffer r_outputs;                  ///< R{x_l}
    Buffer r_inner;                    ///< R{z_l}
  };

  const T* InputsOf(std::size_t layer) const;
  void Activate(Layer& layer);
  MetricSums OutputLoss(const MlpTargets<T>& targets);
  void DirectionalOutputDelta(const Buffer& r_outputs, Buffer& r_delta) const;
  /// c = or += a b, see SmallProduct.
  void Multiply(std::int64_t rows, std::int64_t columns, std::int64_t depth, const T* a,
                std::int64_t row_stride, std::int64_t depth_stride, const T* b, T* c) const;

  MlpShape::Activation activation_;
  ObjectiveKind kind_;
  SmallProduct<T> product_;
  std::size_t parameter_count_ = 0;
  std::int64_t examples_ = 0;
  std::vector<Layer> layers_;
  Buffer parameters_, inputs_;
  Buffer shares_;  ///< of each example in the mean loss
  double loss_ = 0;
  Buffer probabilities_;  ///< softmax or sigmoid of the outputs
  Buffer transposed_v_, upstream_, r_delta_, r_upstream_;
};

extern template class MlpPass<float>;
extern template class MlpPass<double>;

}  // namespace fedmeta
