#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "fedmeta/core/metric_sums.h"
#include "fedmeta/core/result.h"
#include "fedmeta/core/rng.h"
#include "fedmeta/core/state_layout.h"
#include "fedmeta/privacy/contribution_codec.h"
#include "fedmeta/privacy/ring_vector.h"

namespace fedmeta {

/// Bounds of a MetricSums' fields, in the order of MetricSums::kNames: a value beyond is cut to it.
struct MetricBounds {
  std::vector<double> largest;
  /// Which fields carry how much data a site has, as counts or as sums over examples. They stay
  /// zero unless counts are disclosed: they hardly change from round to round, so changes of the
  /// cohort would give them away.
  std::vector<bool> is_count;
};
/// `examples`: most query examples of a site in one cell; `loss`: largest mean loss.
MetricBounds BoundsOfMetrics(double examples, double loss);

/// A contribution as a vector over a ring, and the sum of many back: the ContributionCodec of
/// secure aggregation. Coordinates: update, weight, failures, then the metric cells; the latter
/// three are wide words (RingVector). Immutable, thread-safe; borrows the layout.
///
/// Client: the update is clipped to an L2 norm of `clip` in float64 as one vector, multiplied by
/// update_scale() and rounded to nearest, ties to even. Over a narrow ring, whose steps are wide
/// enough for nearest rounding to swallow small coordinates round after round, it is rounded up or
/// down at random instead, right on average, after each coordinate was cut to `coordinate_bound`.
/// Its weight is 1, so that the sum of the
/// updates over their number is the mean; with `weighted` the weight is cut to `maximum_weight` and
/// the coordinates are w x / Wmax and w. Metrics are cut to their bounds, each with a scale of its
/// own. An update or weight that is not finite becomes zeros and one failure, so that nothing a
/// client says or does not say depends on its data.
///
/// Sum: exact integers, as long as cohort x (bound of a coordinate + noise_tail) < 2^(bits - 1);
/// Create refuses what does not satisfy it and names the nearest settings that do.
class RingCodec {
 public:
  struct Options {
    const StateLayout* layout = nullptr;  ///< null for evaluation: no update
    std::size_t metric_cells = 1;
    RingBits bits = RingBits::k32;
    std::uint32_t cohort = 0;  ///< most contributions in one sum
    double clip = 0;           ///< C, > 0; not used for evaluation
    /// Of one coordinate of an update over a narrow ring, at most `clip`; nothing: `clip`. The
    /// smaller it is, the finer the steps.
    std::optional<double> coordinate_bound = {};
    /// Units of the ring for 1.0 of an update; nothing: the largest power of two that fits, over a
    /// narrow ring all that fits.
    std::optional<double> update_scale = {};
    /// Integer noise per client and coordinate that is never exceeded (or with negligible
    /// probability), in units of the ring.
    double noise_tail = 0;
    MetricBounds metric_bounds = {};
    /// The L2 norm of the metric coordinates, failures and weight at their bounds, as a share of
    /// update_scale x clip: under differential privacy they are part of the sensitivity. Nothing:
    /// as fine as the ring allows.
    std::optional<double> metric_share = {};
    bool disclose_counts = false;  ///< this site's policy and the plan allow counts
    bool weighted = false;         ///< weights are coordinates; else 1
    double maximum_weight = 1;     ///< Wmax
    /// The mean is over the whole cohort |U|, not over those without failure: differential
    /// privacy, where the number of failures is noise.
    bool divide_by_cohort = false;
  };
  static Result<RingCodec> Create(const Options& options);

  std::size_t words() const;
  RingVector Zero() const;  ///< a vector of this codec's form
  double update_scale() const;
  /// L2 norm that no encoded contribution exceeds, in units of the ring, over all its coordinates:
  /// sqrt((scale x C)^2 + sum of the other bounds squared) + sqrt(d)/2, over a narrow ring +
  /// sqrt(d) of the update's d. Encode checks it in integers.
  double sensitivity() const;

  /// Client. `rounding`: of an update over a narrow ring, else unused. kInvalidArgument: another
  /// shape, no stream for rounding (mistakes of the program, not of the data).
  Result<RingVector> Encode(const Contribution& contribution, Rng* rounding = nullptr) const;

  struct Sum {
    DecodedSum sum;
    double failures = 0;  ///< clients whose update was not finite; noisy under noise
  };
  /// `sum` of `contributors` vectors. kInvalidArgument: another ring or size, no or too many
  /// contributors, a coordinate that no honest clients can give, no weight (all failed).
  Result<Sum> Decode(const RingVector& sum, std::uint32_t contributors) const;

 private:
  struct Part {
    double bound;  // in units of the contribution
    double scale;  // units of the ring for 1.0
  };
  RingCodec() = default;
  Status ScaleTail(double fits);
  void PutUpdate(std::span<const float> update, double factor, Rng* rounding,
                 RingVector& vector) const;
  /// What rounding may add to the norm of an update of this many coordinates.
  double RoundingNorm(std::size_t coordinates) const;
  void PutMetrics(const Contribution& contribution, RingVector& vector) const;
  bool UpdateIsWithin(const RingVector& vector) const;
  Status CheckSum(const RingVector& sum, std::uint32_t contributors) const;

  Options options_;
  std::size_t update_size_ = 0;
  Part update_{}, weight_{}, failures_{};
  std::vector<Part> metrics_;  // by field
  double sensitivity_ = 0;
};

}  // namespace fedmeta
