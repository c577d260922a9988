// Weighted mean (McMahan et al. 2017, "FedAvg"): sum_k w_k u_k / sum_k w_k. Contributions arrive
// encoded with their weight applied and appended, so that the aggregator only adds words modulo
// 2^64; the codec, which knows the units, divides.
#include <limits>
#include <string>
#include <utility>

#include "fedmeta/algorithms/server/aggregator.h"
#include "fedmeta/algorithms/server/factories.h"

namespace fedmeta {
namespace {

class WeightedMean final : public Aggregator {
 public:
  bool NeedsIndividualUpdates() const override { return false; }

  Status Add(const ClientId&, std::span<const std::uint64_t> encoded) override {
    return AddWords(encoded, 1);
  }

  Status Merge(const PartialSum& other) override {
    if (other.contributors == 0) return {};
    return AddWords(other.coordinates, other.contributors);
  }

  Result<PartialSum> Finish() override {
    if (sum_.contributors == 0)
      return Error(ErrorCode::kFailedPrecondition, "aggregation: no contribution to sum");
    return std::exchange(sum_, {});
  }

  void Reset() override { sum_ = {}; }

 private:
  Status AddWords(std::span<const std::uint64_t> words, std::uint32_t contributors) {
    if (contributors > std::numeric_limits<std::uint32_t>::max() - sum_.contributors) {
      return Error(ErrorCode::kResourceExhausted, "aggregation: more than 2^32 - 1 contributors");
    }
    if (sum_.contributors == 0) {
      sum_.coordinates.assign(words.begin(), words.end());
    } else if (words.size() != sum_.coordinates.size()) {
      return Error(ErrorCode::kInvalidArgument, "aggregation: a contribution must have " +
                                                    std::to_string(sum_.coordinates.size()) +
                                                    " words, got " + std::to_string(words.size()));
    } else {
      for (std::size_t i = 0; i < words.size(); ++i) sum_.coordinates[i] += words[i];
    }
    sum_.contributors += contributors;
    return {};
  }

  PartialSum sum_;
};

}  // namespace

Result<std::unique_ptr<Aggregator>> CreateWeightedMean(const v1::WeightedMeanSettings&,
                                                       const AggregatorContext&) {
  return std::unique_ptr<Aggregator>(std::make_unique<WeightedMean>());
}

}  // namespace fedmeta
