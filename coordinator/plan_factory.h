#pragma once

#include <cstdint>
#include <optional>

#include "fedmeta/coordinator/experiment_engine.h"
#include "fedmeta/coordinator/selection.h"
#include "fedmeta/core/digest.h"
#include "fedmeta/core/result.h"
#include "fedmeta/protocol/round_plan.h"
#include "fedmeta/v1/experiment.pb.h"

namespace fedmeta {

/// Fills in the plans of one leg. Pure.
class PlanFactory {
 public:
  PlanFactory(const v1::Experiment& experiment, const LegFacts& leg);

  const EvaluationGrid& grid() const { return grid_; }
  const ExperimentId& experiment_id() const { return id_; }
  Result<RoundPlan> Train(std::uint64_t round, std::uint32_t attempt,
                          const std::optional<RoundKey>& parent, const Digest& state) const;
  Result<RoundPlan> Evaluate(v1::Part part, std::uint64_t round, std::uint32_t attempt,
                             const std::optional<RoundKey>& parent, const Digest& state) const;

 private:
  v1::RoundPlan Common(const RoundKey& key, const std::optional<RoundKey>& parent,
                       const Digest& state) const;

  ExperimentId id_;
  LegFacts leg_;
  std::uint64_t deadline_ms_;
  std::uint32_t episodes_;
  EvaluationGrid grid_;
};

/// Bytes of a client's upload for this plan: as ContributionCodec writes them, float32 update
/// (training), float64 weight and metrics; under secure aggregation the words of the ring.
std::uint64_t UploadSize(const v1::RoundPlan& plan, const std::optional<v1::SecureTerms>& secure);
/// A duration of the configuration, in milliseconds.
Duration ToDuration(const google::protobuf::Duration& duration);

}  // namespace fedmeta
