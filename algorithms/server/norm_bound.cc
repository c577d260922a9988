// Norm bound (Sun et al. 2019, "Can You Really Backdoor Federated Learning?", section 5.1):
//   mean_k u_k min(1, M / |u_k|)
// M is given, or a multiple of the median of the round's norms, which follows the updates as they
// shrink. It bounds what one client can add; it does not tell good from bad. Averages have no
// meaningful length: of these the coordinate-wise median is taken.
#include <algorithm>
#include <cmath>
#include <vector>

#include "fedmeta/algorithms/server/columns.h"
#include "fedmeta/algorithms/server/distances.h"
#include "fedmeta/algorithms/server/factories.h"

namespace fedmeta {
namespace {

class NormBoundRule final : public RobustRule {
 public:
  explicit NormBoundRule(const v1::NormBoundSettings& settings) : keys_(settings) {}
  std::size_t fewest() const override { return 2 * std::size_t{keys_.byzantine()} + 1; }

  void Combine(Updates updates, std::span<double> result) const override {
    std::vector<double> norms;
    for (const auto& update : updates) norms.push_back(std::sqrt(SquaredNorm(update)));
    std::vector<double> ordered = norms;
    const double bound =
        keys_.bound() > 0 ? keys_.bound() : keys_.median_multiple() * Median(std::span(ordered));
    std::ranges::fill(result, 0.0);
    for (std::size_t k = 0; k < updates.size(); ++k) {
      const double factor = norms[k] > bound ? bound / norms[k] : 1;
      AddScaled(factor / static_cast<double>(updates.size()), updates[k], result);
    }
  }

  void CombineAverages(Updates updates, std::span<double> result) const override {
    CombineColumns(updates, result, Median<float>);
  }

 private:
  const v1::NormBoundSettings keys_;
};

}  // namespace

Result<std::unique_ptr<Aggregator>> CreateNormBound(const v1::NormBoundSettings& settings,
                                                    const AggregatorContext& context) {
  return MakeRobustAggregator(std::make_unique<NormBoundRule>(settings), context);
}

}  // namespace fedmeta
