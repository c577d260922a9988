// Coordinate-wise median (Yin et al. 2018, "Byzantine-Robust Distributed Learning", definition 1):
// coordinate j of the result is the median of the updates' coordinates j. With n > 2 f it lies
// between two honest values, whatever f others send.
#include "fedmeta/algorithms/server/columns.h"
#include "fedmeta/algorithms/server/factories.h"

namespace fedmeta {
namespace {

class MedianRule final : public RobustRule {
 public:
  explicit MedianRule(std::size_t byzantine) : byzantine_(byzantine) {}
  std::size_t fewest() const override { return 2 * byzantine_ + 1; }
  void Combine(Updates updates, std::span<double> result) const override {
    CombineColumns(updates, result, Median<float>);
  }

 private:
  const std::size_t byzantine_;
};

}  // namespace

Result<std::unique_ptr<Aggregator>> CreateMedian(const v1::MedianSettings& settings,
                                                 const AggregatorContext& context) {
  return MakeRobustAggregator(std::make_unique<MedianRule>(settings.byzantine()), context);
}

}  // namespace fedmeta
