#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "fedmeta/algorithms/server/server_registry.h"
#include "fedmeta/core/rng.h"
#include "fedmeta/privacy/contribution_codec.h"
#include "fedmeta/v1/server.pb.h"

namespace fedmeta {

/// An aggregation and its settings.
inline v1::Plugin Choice(const std::string& name, const google::protobuf::Message& settings) {
  v1::Plugin plugin;
  plugin.set_name(name);
  plugin.mutable_settings()->PackFrom(settings);
  return plugin;
}

/// Each robust rule for f poisoned updates, with the other settings at their defaults.
inline std::vector<v1::Plugin> RobustRules(std::uint32_t byzantine) {
  v1::MedianSettings median;
  v1::TrimmedMeanSettings trimmed_mean;
  v1::KrumSettings krum;
  v1::MultiKrumSettings multi_krum;
  v1::GeometricMedianSettings geometric_median;
  v1::NormBoundSettings norm_bound;
  median.set_byzantine(byzantine);
  trimmed_mean.set_byzantine(byzantine);
  krum.set_byzantine(byzantine);
  multi_krum.set_byzantine(byzantine);
  geometric_median.set_byzantine(byzantine);
  norm_bound.set_byzantine(byzantine);
  return {Choice("median", median),
          Choice("trimmed_mean", trimmed_mean),
          Choice("krum", krum),
          Choice("multi_krum", multi_krum),
          Choice("geometric_median", geometric_median),
          Choice("norm_bound", norm_bound)};
}

using Update = std::vector<float>;

/// One segment "theta" of `size` coordinates.
inline StateLayout FlatLayout(std::size_t size) {
  const auto extent = static_cast<std::int64_t>(size);
  return StateLayout::Create({{.name = "theta", .tensors = {{.name = "w", .shape = {extent}}}}})
      .value();
}

/// A round through the codec, as the coordinator runs it: contributions as words, added up by an
/// aggregation, decoded.
class RobustRound {
 public:
  static constexpr std::uint32_t kMost = 30;
  RobustRound(const v1::Plugin& choice, const StateLayout& layout)
      : codec_(ContributionCodec::Create(
                   {.layout = &layout, .maximum_weight = 1e6, .maximum_contributors = kMost})
                   .value()),
        aggregator_(MakeAggregator(BuiltinServer(), choice,
                                   {.layout = &layout,
                                    .update_unit = ContributionCodec::kUpdateUnit,
                                    .weight_unit = ContributionCodec::kTailUnit})
                        .value()) {}

  Status Add(std::size_t client, const Update& update, double weight = 1) {
    MetricSums metrics;
    metrics.examples = static_cast<double>(client) + 1;
    FEDMETA_ASSIGN_OR_RETURN(
        const auto words,
        codec_.Encode({.update = update, .weight = weight, .metrics = {metrics}}));
    return aggregator_->Add(ClientId("site-" + std::to_string(client)), words);
  }
  Result<DecodedSum> Close() {
    FEDMETA_ASSIGN_OR_RETURN(const PartialSum sum, aggregator_->Finish());
    return codec_.Decode(sum.coordinates, sum.contributors);
  }
  Aggregator& aggregator() { return *aggregator_; }

 private:
  ContributionCodec codec_;
  std::unique_ptr<Aggregator> aggregator_;
};

/// Of clients 0, 1, ... with weight 1.
inline std::vector<double> Aggregate(const v1::Plugin& choice, const std::vector<Update>& updates) {
  const StateLayout layout = FlatLayout(updates.front().size());
  RobustRound round(choice, layout);
  for (std::size_t k = 0; k < updates.size(); ++k) EXPECT_TRUE(round.Add(k, updates[k]).ok());
  return round.Close().value().mean;
}

/// Standard normal coordinates, in multiples of 2^-20 (which the codec keeps as they are).
inline std::vector<Update> RandomUpdates(std::size_t clients, std::size_t size,
                                         std::uint64_t seed = 1) {
  Rng rng({.seed = seed, .purpose = "test"});
  std::vector<Update> updates(clients, Update(size));
  for (Update& update : updates) {
    for (float& value : update)
      value = std::ldexp(std::round(std::ldexp(static_cast<float>(rng.Normal()), 20)), -20);
  }
  return updates;
}

}  // namespace fedmeta
