#include "fedmeta/simulator/attack.h"

#include <algorithm>
#include <utility>

#include "fedmeta/privacy/contribution_codec.h"
#include "fedmeta/v1/round.pb.h"

namespace fedmeta {
namespace {

void Mirror(ExampleSet& examples, std::int64_t classes) {
  for (std::int64_t& label : examples.labels) label = classes - 1 - label;
  for (float& target : examples.targets) target = 1 - target;  // of two classes
}

/// A site's tasks with mirrored labels where it trains.
class MirroredTasks final : public TaskGenerator {
 public:
  explicit MirroredTasks(std::unique_ptr<TaskGenerator> tasks) : tasks_(std::move(tasks)) {}

  Status CanDraw(DataPart part, std::int64_t shots) const override {
    return tasks_->CanDraw(part, shots);
  }
  Result<TaskExamples> Draw(DataPart part, std::int64_t shots, Rng& rng) override {
    FEDMETA_ASSIGN_OR_RETURN(TaskExamples task, tasks_->Draw(part, shots, rng));
    if (part == DataPart::kTrain) Mirror(task.query, task_outputs());
    return task;
  }
  std::size_t validation_examples() const override { return tasks_->validation_examples(); }
  bool draws(std::int64_t shots) const override { return tasks_->draws(shots); }
  Result<ExampleSet> TrainingExamples(Rng& rng) override {
    FEDMETA_ASSIGN_OR_RETURN(ExampleSet examples, tasks_->TrainingExamples(rng));
    const auto largest = std::ranges::max_element(examples.labels);
    Mirror(examples, largest == examples.labels.end() ? 0 : *largest + 1);
    return examples;
  }
  TargetKind target_kind() const override { return tasks_->target_kind(); }
  std::int64_t task_outputs() const override { return tasks_->task_outputs(); }
  bool relabels() const override { return tasks_->relabels(); }
  std::size_t examples() const override { return tasks_->examples(); }

 private:
  std::unique_ptr<TaskGenerator> tasks_;
};

}  // namespace

Result<Attack> Attack::Create(const v1::SimulatedAttack& settings, const Partition& partition) {
  Attack attack;
  for (std::size_t i = 0; i < partition.clients() && attack.clients_.size() < settings.clients();
       ++i) {
    if (partition.role(i) == v1::ROLE_TRAIN) attack.clients_.insert(partition.name(i));
  }
  if (attack.clients_.size() < settings.clients()) {
    return Error(ErrorCode::kInvalidArgument,
                 "simulated_attack.clients must be <= the training clients, which are " +
                     std::to_string(attack.clients_.size()) + ", got " +
                     std::to_string(settings.clients()));
  }
  attack.flips_labels_ = settings.kind() == "label_flip";
  if (settings.kind() == "scale") attack.factor_ = settings.factor();
  if (settings.kind() == "sign_flip") attack.factor_ = -settings.factor();
  return attack;
}

std::unique_ptr<TaskGenerator> Attack::Poison(std::unique_ptr<TaskGenerator> tasks) const {
  if (!flips_labels_) return tasks;
  return std::make_unique<MirroredTasks>(std::move(tasks));
}

Status Attack::Poison(const RoundPlan& plan, const StateLayout& layout, Bytes& payload) const {
  if (factor_ == 1 || !plan.message().has_train()) return {};
  FEDMETA_ASSIGN_OR_RETURN(
      const ContributionCodec codec,
      ContributionCodec::Create({.layout = &layout,
                                 .metric_cells = MetricCells(plan.message()),
                                 .maximum_weight = plan.message().maximum_weight(),
                                 .maximum_contributors = 1}));
  FEDMETA_ASSIGN_OR_RETURN(Contribution contribution, codec.FromWire(payload));
  for (float& value : contribution.update) value *= static_cast<float>(factor_);
  FEDMETA_ASSIGN_OR_RETURN(payload, codec.ToWire(contribution));
  return {};
}

}  // namespace fedmeta
