#include "fedmeta/protocol/round_plan.h"

#include <cmath>

#include "fedmeta/protocol/limits.h"
#include "fedmeta/v1/round.pb.h"

namespace fedmeta {

struct RoundPlan::Content {
  v1::RoundPlan message;
  std::string bytes;
  Digest hash;
  RoundKey key;
  std::optional<RoundKey> parent;
  Digest assignment_hash;
  Digest state_hash;
};

namespace {

Error Refused(const std::string& what) {
  return {ErrorCode::kInvalidArgument, "round plan: " + what};
}

Status CheckEvaluate(const v1::Evaluate& evaluate) {
  if (evaluate.part() != v1::PART_VALIDATION && evaluate.part() != v1::PART_TEST)
    return Refused("unknown part");
  if (evaluate.shots().empty() || evaluate.learning_rates().empty() || evaluate.steps().empty()) {
    return Refused("evaluation needs shots, learning_rates and steps");
  }
  const double cells = static_cast<double>(evaluate.shots_size()) * evaluate.learning_rates_size() *
                       evaluate.steps_size();
  if (cells > static_cast<double>(kMaximumEvaluationCells)) {
    return Refused("shots x learning_rates x steps must be <= " +
                   std::to_string(kMaximumEvaluationCells));
  }
  for (int i = 1; i < evaluate.steps_size(); ++i) {
    if (evaluate.steps(i) <= evaluate.steps(i - 1)) return Refused("steps must ascend");
  }
  for (const double rate : evaluate.learning_rates()) {
    if (!std::isfinite(rate) || rate <= 0) return Refused("learning rates must be finite and > 0");
  }
  if (evaluate.steps(evaluate.steps_size() - 1) > kMaximumEvaluationSteps) {
    return Refused("steps must be <= " + std::to_string(kMaximumEvaluationSteps));
  }
  if (evaluate.episodes() == 0 || evaluate.episodes() > kMaximumEpisodes) {
    return Refused("episodes must be 1 to " + std::to_string(kMaximumEpisodes) + ", got " +
                   std::to_string(evaluate.episodes()));
  }
  return {};
}

/// The last committed training round: before a training round, at most that of an evaluation.
Status CheckParent(const RoundKey& parent, const RoundKey& key) {
  if (parent.experiment != key.experiment) return Refused("parent belongs to another experiment");
  if (parent.purpose != Purpose::kTrain) return Refused("parent must be a training round");
  const bool before =
      key.purpose == Purpose::kTrain ? parent.round < key.round : parent.round <= key.round;
  if (!before) {
    return Refused("parent round " + std::to_string(parent.round) + " does not lie before round " +
                   std::to_string(key.round));
  }
  return {};
}

}  // namespace

Result<RoundPlan> RoundPlan::Parse(std::string bytes) {
  if (bytes.size() > kMaximumPlanBytes) {
    return Refused("at most " + std::to_string(kMaximumPlanBytes) + " bytes, got " +
                   std::to_string(bytes.size()));
  }
  auto content = std::make_shared<Content>();
  if (!content->message.ParseFromString(bytes))
    return Refused("not a protobuf message of its kind");
  const v1::RoundPlan& message = content->message;
  FEDMETA_ASSIGN_OR_RETURN(content->key, FromMessage(message.key()));
  if (message.has_parent()) {
    FEDMETA_ASSIGN_OR_RETURN(content->parent, FromMessage(message.parent()));
    FEDMETA_RETURN_IF_ERROR(CheckParent(*content->parent, content->key));
  }
  FEDMETA_ASSIGN_OR_RETURN(content->assignment_hash, Digest::FromBytes(message.assignment_hash()));
  FEDMETA_ASSIGN_OR_RETURN(content->state_hash, Digest::FromBytes(message.state_hash()));
  if (message.assignment_size() == 0 || message.assignment_size() > kMaximumAssignmentBytes) {
    return Refused("assignment_size must be 1 to " + std::to_string(kMaximumAssignmentBytes));
  }
  if (message.state_coordinates() == 0 || message.state_coordinates() > (std::uint64_t{1} << 40)) {
    return Refused("state_coordinates must be 1 to 2^40");
  }
  if (message.update_coordinates() > message.state_coordinates()) {
    return Refused("update_coordinates must be <= state_coordinates, got " +
                   std::to_string(message.update_coordinates()));
  }
  if (message.update_bits() > 32)
    return Refused("update_bits must be <= 32, got " + std::to_string(message.update_bits()));
  if (message.state_bytes() > message.state_coordinates() * sizeof(float)) {
    return Refused("state_bytes must be <= 4 x state_coordinates, got " +
                   std::to_string(message.state_bytes()));
  }
  if (!std::isfinite(message.maximum_weight()) || message.maximum_weight() <= 0)
    return Refused("maximum_weight must be finite and > 0");
  if (message.report_deadline_ms() > kMaximumDeadlineMs) {
    return Refused("report_deadline_ms must be <= " + std::to_string(kMaximumDeadlineMs));
  }
  switch (message.work_case()) {
    case v1::RoundPlan::kTrain:
      if (content->key.purpose != Purpose::kTrain) return Refused("work and purpose differ");
      if (content->key.round == 0) return Refused("training rounds count from 1, got 0");
      break;
    case v1::RoundPlan::kEvaluate:
      if (content->key.purpose != Purpose::kEvaluate) return Refused("work and purpose differ");
      FEDMETA_RETURN_IF_ERROR(CheckEvaluate(message.evaluate()));
      break;
    default:
      return Refused("no work that this version knows");
  }
  content->hash = Digest::Of(bytes);
  content->bytes = std::move(bytes);
  return RoundPlan(std::move(content));
}

Result<RoundPlan> RoundPlan::Create(const v1::RoundPlan& message) {
  return Parse(message.SerializeAsString());
}

const RoundKey& RoundPlan::key() const { return content_->key; }
const std::optional<RoundKey>& RoundPlan::parent() const { return content_->parent; }
const Digest& RoundPlan::assignment_hash() const { return content_->assignment_hash; }
const Digest& RoundPlan::state_hash() const { return content_->state_hash; }
const Digest& RoundPlan::hash() const { return content_->hash; }
std::string_view RoundPlan::bytes() const { return content_->bytes; }
const v1::RoundPlan& RoundPlan::message() const { return content_->message; }

std::uint64_t UpdateCoordinates(const v1::RoundPlan& message) {
  if (!message.has_train()) return 0;
  return message.update_coordinates() > 0 ? message.update_coordinates()
                                          : message.state_coordinates();
}

std::uint32_t UpdateBits(const v1::RoundPlan& message) {
  return message.update_bits() > 0 ? message.update_bits() : 32;
}

std::uint64_t StateBytes(const v1::RoundPlan& message) {
  return message.state_bytes() > 0 ? message.state_bytes()
                                   : message.state_coordinates() * sizeof(float);
}

std::size_t MetricCells(const v1::RoundPlan& message) {
  if (!message.has_evaluate()) return 1;
  const v1::Evaluate& evaluate = message.evaluate();
  return static_cast<std::size_t>(evaluate.shots_size()) *
         static_cast<std::size_t>(evaluate.learning_rates_size()) *
         static_cast<std::size_t>(evaluate.steps_size());
}

}  // namespace fedmeta
