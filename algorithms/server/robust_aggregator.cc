#include "fedmeta/algorithms/server/robust_aggregator.h"

#include <bit>
#include <cmath>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace fedmeta {
namespace {

constexpr double kLargestEntry = 0x1p24;

double FromWord(std::uint64_t word) {
  return static_cast<double>(std::bit_cast<std::int64_t>(word));
}

Error Refused(const std::string& what) {
  return {ErrorCode::kInvalidArgument, "aggregation: " + what};
}

/// A segment's place in the layout, and in a row, where segments of one rule stand together.
struct Place {
  std::size_t in_layout = 0, in_row = 0, size = 0;
};
struct Part {
  std::size_t first = 0, size = 0;
  bool averages = false;
};

class RobustAggregator final : public Aggregator {
 public:
  RobustAggregator(std::unique_ptr<RobustRule> rule, const AggregatorContext& context)
      : rule_(std::move(rule)),
        layout_(*context.layout),
        update_unit_(context.update_unit),
        weight_unit_(context.weight_unit) {
    std::size_t at = 0;
    for (const ServerRule kind :
         {ServerRule::kOptimize, ServerRule::kMean, ServerRule::kAccumulate}) {
      Part part{.first = at, .size = 0, .averages = kind == ServerRule::kMean};
      for (std::size_t s = 0; s < layout_.segments().size(); ++s) {
        if (layout_.segments()[s].rule != kind) continue;
        places_.push_back({layout_.segment_offset(s), at, layout_.segment_size(s)});
        at += places_.back().size;
      }
      part.size = at - part.first;
      if (part.size > 0) parts_.push_back(part);
    }
  }

  bool NeedsIndividualUpdates() const override { return true; }
  std::size_t fewest() const override { return rule_->fewest(); }

  Status Add(const ClientId& client, std::span<const std::uint64_t> encoded) override {
    const std::size_t tail = layout_.size();
    if (encoded.size() <= tail || (!rows_.empty() && encoded.size() - tail != sums_.size())) {
      return Refused("a contribution must have " +
                     (rows_.empty() ? "more than " + std::to_string(tail)
                                    : std::to_string(tail + sums_.size())) +
                     " words, got " + std::to_string(encoded.size()));
    }
    if (rows_.contains(client)) return Refused("a second contribution of " + client.value());
    FEDMETA_ASSIGN_OR_RETURN(std::vector<float> row, ToRow(encoded));
    rows_.emplace(client, std::move(row));
    sums_.resize(encoded.size() - tail);
    for (std::size_t i = 0; i < sums_.size(); ++i) sums_[i] += encoded[tail + i];
    return {};
  }

  Status Merge(const PartialSum& other) override {
    if (other.contributors == 0) return {};
    return Error(ErrorCode::kFailedPrecondition,
                 "aggregation: a robust rule needs each client's update, not their sum");
  }

  Result<PartialSum> Finish() override {
    if (rows_.size() < rule_->fewest() || rows_.empty()) {
      const Error error(ErrorCode::kFailedPrecondition,
                        "aggregation: " + std::to_string(rows_.size()) +
                            " contributions, the rule needs at least " +
                            std::to_string(rule_->fewest()));
      Reset();
      return error;
    }
    PartialSum sum;
    sum.contributors = static_cast<std::uint32_t>(rows_.size());
    sum.coordinates.resize(layout_.size());
    const std::vector<double> result = Combined();
    for (const Place& place : places_) {
      for (std::size_t i = 0; i < place.size; ++i) {
        sum.coordinates[place.in_layout + i] = std::bit_cast<std::uint64_t>(
            static_cast<std::int64_t>(std::llrint(result[place.in_row + i] / update_unit_)));
      }
    }
    sums_.front() = static_cast<std::uint64_t>(std::llrint(1 / weight_unit_));
    sum.coordinates.insert(sum.coordinates.end(), sums_.begin(), sums_.end());
    Reset();
    return sum;
  }

  void Reset() override {
    rows_.clear();
    sums_.clear();
  }

 private:
  /// The client's own mean update.
  Result<std::vector<float>> ToRow(std::span<const std::uint64_t> encoded) const {
    const double weight = FromWord(encoded[layout_.size()]) * weight_unit_;
    if (!(weight > 0)) return Refused("a weight must be > 0");
    std::vector<float> row(layout_.size());
    const double factor = update_unit_ / weight;
    for (const Place& place : places_) {
      for (std::size_t i = 0; i < place.size; ++i) {
        const double value = FromWord(encoded[place.in_layout + i]) * factor;
        if (!(std::fabs(value) <= kLargestEntry)) {
          return Refused("update of " + layout_.CoordinateName(place.in_layout + i) +
                         " must be at most 2^24 in absolute value");
        }
        row[place.in_row + i] = static_cast<float>(value);
      }
    }
    return row;
  }

  std::vector<double> Combined() const {
    std::vector<double> result(layout_.size());
    std::vector<std::span<const float>> updates;
    for (const Part& part : parts_) {
      updates.clear();
      for (const auto& [client, row] : rows_)
        updates.push_back(std::span(row).subspan(part.first, part.size));
      const std::span<double> to = std::span(result).subspan(part.first, part.size);
      if (part.averages) {
        rule_->CombineAverages(updates, to);
      } else {
        rule_->Combine(updates, to);
      }
    }
    return result;
  }

  const std::unique_ptr<RobustRule> rule_;
  const StateLayout layout_;
  const double update_unit_, weight_unit_;
  std::vector<Place> places_;
  std::vector<Part> parts_;
  std::map<ClientId, std::vector<float>> rows_;
  std::vector<std::uint64_t> sums_;  // what follows the updates: weight, metric sums
};

}  // namespace

Result<std::unique_ptr<Aggregator>> MakeRobustAggregator(std::unique_ptr<RobustRule> rule,
                                                         const AggregatorContext& context) {
  if (context.layout == nullptr) {
    return Error(ErrorCode::kInvalidArgument, "a robust rule needs updates, here there are none");
  }
  return std::unique_ptr<Aggregator>(std::make_unique<RobustAggregator>(std::move(rule), context));
}

}  // namespace fedmeta
