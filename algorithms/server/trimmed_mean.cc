// Coordinate-wise trimmed mean (Yin et al. 2018, definition 2): of the n values of a coordinate the
// f largest and the f smallest are left out, and the mean of the other n - 2 f is taken. The paper
// names the share beta = f / n; here f stays as it is when clients drop out.
#include <algorithm>

#include "fedmeta/algorithms/server/columns.h"
#include "fedmeta/algorithms/server/factories.h"

namespace fedmeta {
namespace {

class TrimmedMeanRule final : public RobustRule {
 public:
  explicit TrimmedMeanRule(std::size_t byzantine) : byzantine_(byzantine) {}
  std::size_t fewest() const override { return 2 * byzantine_ + 1; }

  void Combine(Updates updates, std::span<double> result) const override {
    CombineColumns(updates, result, [this](std::span<float> values) {
      // All of it: the sum's order must not depend on that of the clients.
      std::sort(values.begin(), values.end());
      double sum = 0;
      const auto kept = values.subspan(byzantine_, values.size() - 2 * byzantine_);
      for (const float value : kept) sum += value;
      return sum / static_cast<double>(kept.size());
    });
  }

 private:
  const std::size_t byzantine_;
};

}  // namespace

Result<std::unique_ptr<Aggregator>> CreateTrimmedMean(const v1::TrimmedMeanSettings& settings,
                                                      const AggregatorContext& context) {
  return MakeRobustAggregator(std::make_unique<TrimmedMeanRule>(settings.byzantine()), context);
}

}  // namespace fedmeta
