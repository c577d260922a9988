#include "fedmeta/coordinator/plan_factory.h"

#include <algorithm>

#include "fedmeta/privacy/contribution_codec.h"
#include "fedmeta/privacy/secure_terms.h"

namespace fedmeta {
namespace {

EvaluationGrid GridOf(const v1::Evaluation& evaluation, double own_rate) {
  EvaluationGrid grid{
      .shots = {evaluation.shots().begin(), evaluation.shots().end()},
      .learning_rates = {evaluation.learning_rates().begin(), evaluation.learning_rates().end()},
      .steps = {evaluation.steps().begin(), evaluation.steps().end()}};
  if (grid.shots.empty()) grid.shots = {0};  // the experiment's own
  if (grid.learning_rates.empty()) grid.learning_rates = {own_rate};
  if (grid.steps.empty()) grid.steps = {0};
  std::sort(grid.steps.begin(), grid.steps.end());
  grid.steps.erase(std::unique(grid.steps.begin(), grid.steps.end()), grid.steps.end());
  return grid;
}

}  // namespace

Duration ToDuration(const google::protobuf::Duration& duration) {
  return std::chrono::seconds(duration.seconds()) + Duration(duration.nanos() / 1'000'000);
}

std::uint64_t UploadSize(const v1::RoundPlan& plan, const std::optional<v1::SecureTerms>& secure) {
  if (secure) return SecureBytes(*secure, plan);
  return PlainUpdateBytes(UpdateCoordinates(plan), UpdateBits(plan)) +
         (1 + MetricCells(plan) * MetricSums::kSize) * sizeof(double);
}

PlanFactory::PlanFactory(const v1::Experiment& experiment, const LegFacts& leg)
    : id_(LegId(experiment, leg.name)),
      leg_(leg),
      deadline_ms_(static_cast<std::uint64_t>(
          ToDuration(experiment.federation().report_deadline()).count())),
      episodes_(std::max<std::uint32_t>(1, experiment.evaluation().episodes())),
      grid_(GridOf(experiment.evaluation(), leg.adaptation_rate)) {}

v1::RoundPlan PlanFactory::Common(const RoundKey& key, const std::optional<RoundKey>& parent,
                                  const Digest& state) const {
  v1::RoundPlan plan;
  *plan.mutable_key() = ToMessage(key);
  if (parent) *plan.mutable_parent() = ToMessage(*parent);
  plan.set_assignment_hash(leg_.assignment_hash.bytes());
  plan.set_assignment_size(leg_.assignment_size);
  plan.set_state_hash(state.bytes());
  plan.set_state_coordinates(leg_.coordinates);
  plan.set_state_bytes(leg_.state_bytes);
  // Under secure aggregation every client counts alike: weights would tell of its data.
  const bool weighted = key.purpose == Purpose::kTrain && !leg_.secure;
  plan.set_maximum_weight(weighted ? leg_.maximum_weight : 1.0);
  plan.set_report_deadline_ms(deadline_ms_);
  return plan;
}

Result<RoundPlan> PlanFactory::Train(std::uint64_t round, std::uint32_t attempt,
                                     const std::optional<RoundKey>& parent,
                                     const Digest& state) const {
  v1::RoundPlan plan =
      Common({.experiment = id_, .purpose = Purpose::kTrain, .round = round, .attempt = attempt},
             parent, state);
  plan.mutable_train();
  plan.set_update_coordinates(leg_.update_coordinates);
  plan.set_update_bits(leg_.update_bits);
  return RoundPlan::Create(plan);
}

Result<RoundPlan> PlanFactory::Evaluate(v1::Part part, std::uint64_t round, std::uint32_t attempt,
                                        const std::optional<RoundKey>& parent,
                                        const Digest& state) const {
  v1::RoundPlan plan =
      Common({.experiment = id_, .purpose = Purpose::kEvaluate, .round = round, .attempt = attempt},
             parent, state);
  v1::Evaluate& evaluate = *plan.mutable_evaluate();
  evaluate.set_part(part);
  evaluate.mutable_shots()->Assign(grid_.shots.begin(), grid_.shots.end());
  evaluate.mutable_learning_rates()->Assign(grid_.learning_rates.begin(),
                                            grid_.learning_rates.end());
  evaluate.mutable_steps()->Assign(grid_.steps.begin(), grid_.steps.end());
  evaluate.set_episodes(episodes_);
  return RoundPlan::Create(plan);
}

}  // namespace fedmeta
