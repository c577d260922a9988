// Krum (Blanchard et al. 2017): the update with the best score (krum_scores.h) is the result.
#include <algorithm>

#include "fedmeta/algorithms/server/factories.h"
#include "fedmeta/algorithms/server/krum_scores.h"

namespace fedmeta {
namespace {

class KrumRule final : public RobustRule {
 public:
  explicit KrumRule(std::size_t byzantine) : byzantine_(byzantine) {}
  std::size_t fewest() const override { return 2 * byzantine_ + 3; }
  void Combine(Updates updates, std::span<double> result) const override {
    std::ranges::copy(updates[RankByKrum(updates, byzantine_).front()], result.begin());
  }

 private:
  const std::size_t byzantine_;
};

}  // namespace

Result<std::unique_ptr<Aggregator>> CreateKrum(const v1::KrumSettings& settings,
                                               const AggregatorContext& context) {
  return MakeRobustAggregator(std::make_unique<KrumRule>(settings.byzantine()), context);
}

}  // namespace fedmeta
