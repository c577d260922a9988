// Multi-Krum (Blanchard et al. 2017): the mean of the m updates with the best scores
// (krum_scores.h), m <= n - f - 2.
#include <algorithm>

#include "fedmeta/algorithms/server/distances.h"
#include "fedmeta/algorithms/server/factories.h"
#include "fedmeta/algorithms/server/krum_scores.h"

namespace fedmeta {
namespace {

class MultiKrumRule final : public RobustRule {
 public:
  MultiKrumRule(std::size_t byzantine, std::size_t keep) : byzantine_(byzantine), keep_(keep) {}
  std::size_t fewest() const override {
    return std::max(2 * byzantine_ + 3, keep_ + byzantine_ + 2);
  }
  void Combine(Updates updates, std::span<double> result) const override {
    const std::size_t keep = keep_ > 0 ? keep_ : updates.size() - byzantine_ - 2;
    std::vector<std::size_t> best = RankByKrum(updates, byzantine_);
    best.resize(keep);
    std::ranges::sort(best);  // the sum's order must not depend on scores that are nearly equal
    MeanOf(updates, best, result);
  }

 private:
  const std::size_t byzantine_, keep_;
};

}  // namespace

Result<std::unique_ptr<Aggregator>> CreateMultiKrum(const v1::MultiKrumSettings& settings,
                                                    const AggregatorContext& context) {
  return MakeRobustAggregator(
      std::make_unique<MultiKrumRule>(settings.byzantine(), settings.keep()), context);
}

}  // namespace fedmeta
