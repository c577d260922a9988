// Geometric median by the smoothed Weiszfeld algorithm (Pillutla, Kakade, Harchaoui 2022, "Robust
// Aggregation for Federated Learning", algorithm 2):
//   v <- sum_k b_k u_k / sum_k b_k,   b_k = 1 / max(nu, |v - u_k|)
// Each client counts once (the paper: by its share of the data, which is its own word), and v
// begins at the coordinate-wise median, so that few iterations do when some updates lie far out.
#include <algorithm>
#include <cmath>
#include <vector>

#include "fedmeta/algorithms/server/columns.h"
#include "fedmeta/algorithms/server/distances.h"
#include "fedmeta/algorithms/server/factories.h"

namespace fedmeta {
namespace {

class GeometricMedianRule final : public RobustRule {
 public:
  explicit GeometricMedianRule(const v1::GeometricMedianSettings& settings) : keys_(settings) {}
  std::size_t fewest() const override { return 2 * std::size_t{keys_.byzantine()} + 1; }

  void Combine(Updates updates, std::span<double> result) const override {
    CombineColumns(updates, result, Median<float>);
    std::vector<double> factors(updates.size());
    double before = MeasureAt(result, updates, factors);
    for (std::uint32_t i = 0; i < keys_.iterations(); ++i) {
      std::ranges::fill(result, 0.0);
      for (std::size_t k = 0; k < updates.size(); ++k) AddScaled(factors[k], updates[k], result);
      const double sum = MeasureAt(result, updates, factors);
      if (!(sum < before * (1 - keys_.tolerance()))) return;
      before = sum;
    }
  }

 private:
  /// The sum of distances to `point`; `factors`: b_k over their sum.
  double MeasureAt(std::span<const double> point, Updates updates,
                   std::vector<double>& factors) const {
    double sum = 0, all = 0;
    for (std::size_t k = 0; k < updates.size(); ++k) {
      const double distance =
          std::max(keys_.smoothing(), std::sqrt(SquaredDistance(updates[k], point)));
      sum += distance;
      factors[k] = 1 / distance;
      all += factors[k];
    }
    for (double& factor : factors) factor /= all;
    return sum;
  }

  const v1::GeometricMedianSettings keys_;
};

}  // namespace

Result<std::unique_ptr<Aggregator>> CreateGeometricMedian(
    const v1::GeometricMedianSettings& settings, const AggregatorContext& context) {
  return MakeRobustAggregator(std::make_unique<GeometricMedianRule>(settings), context);
}

}  // namespace fedmeta
