#include "fedmeta/simulator/pooled_tasks.h"

#include <algorithm>
#include <utility>

namespace fedmeta {
namespace {

class PooledTasks final : public TaskGenerator {
 public:
  explicit PooledTasks(std::vector<std::unique_ptr<TaskGenerator>> sites)
      : sites_(std::move(sites)) {}

  Status CanDraw(DataPart, std::int64_t) const override { return NoTasks(); }
  Result<TaskExamples> Draw(DataPart, std::int64_t, Rng&) override { return NoTasks(); }

  Result<ExampleSet> TrainingExamples(Rng& rng) override {
    ExampleSet all;
    for (const auto& site : sites_) {
      FEDMETA_ASSIGN_OR_RETURN(const ExampleSet own, site->TrainingExamples(rng));
      all.example_shape = own.example_shape;
      all.count += own.count;
      all.inputs.insert(all.inputs.end(), own.inputs.begin(), own.inputs.end());
      all.labels.insert(all.labels.end(), own.labels.begin(), own.labels.end());
      all.targets.insert(all.targets.end(), own.targets.begin(), own.targets.end());
    }
    return all;
  }

  TargetKind target_kind() const override { return sites_.front()->target_kind(); }
  std::int64_t task_outputs() const override {
    std::int64_t outputs = 0;
    for (const auto& site : sites_) outputs = std::max(outputs, site->task_outputs());
    return outputs;
  }
  std::size_t examples() const override {
    std::size_t examples = 0;
    for (const auto& site : sites_) examples += site->examples();
    return examples;
  }

 private:
  static Error NoTasks() {
    return {ErrorCode::kFailedPrecondition, "pooled rows are no site's tasks"};
  }

  std::vector<std::unique_ptr<TaskGenerator>> sites_;
};

}  // namespace

std::unique_ptr<TaskGenerator> MakePooledTasks(std::vector<std::unique_ptr<TaskGenerator>> sites) {
  return std::make_unique<PooledTasks>(std::move(sites));
}

}  // namespace fedmeta
