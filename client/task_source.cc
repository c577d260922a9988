#include "fedmeta/client/task_source.h"

#include <algorithm>
#include <memory>
#include <utility>

#include <ATen/ATen.h>

namespace fedmeta {
namespace {

// The tensor owns the vector that it views.
template <typename T>
at::Tensor Adopt(std::vector<T>&& values, std::vector<std::int64_t> shape, at::ScalarType type) {
  auto owner = std::make_unique<std::vector<T>>(std::move(values));
  T* data = owner->data();
  return at::from_blob(
      data, shape, [kept = std::shared_ptr<std::vector<T>>(std::move(owner))](void*) {},
      at::TensorOptions().dtype(type));
}

}  // namespace

ObjectiveKind ObjectiveOf(TargetKind kind) {
  switch (kind) {
    case TargetKind::kClass:
      return ObjectiveKind::kCrossEntropy;
    case TargetKind::kBinary:
      return ObjectiveKind::kBinaryCrossEntropy;
    default:
      return ObjectiveKind::kMeanSquaredError;
  }
}

TaskSet ToTaskSet(ExampleSet&& examples, const at::Device& device) {
  const auto count = static_cast<std::int64_t>(examples.count);
  std::vector<std::int64_t> shape = {count};
  shape.insert(shape.end(), examples.example_shape.begin(), examples.example_shape.end());
  TaskSet set;
  set.inputs = Adopt(std::move(examples.inputs), std::move(shape), at::kFloat);
  if (!examples.labels.empty()) {
    set.targets = Adopt(std::move(examples.labels), {count}, at::kLong);
  } else {
    const std::int64_t width =
        count == 0 ? 1 : static_cast<std::int64_t>(examples.targets.size()) / count;
    set.targets = Adopt(std::move(examples.targets), {count, width}, at::kFloat);
  }
  if (device.type() != at::kCPU) {
    set.inputs = set.inputs.to(device);
    set.targets = set.targets.to(device);
  }
  return set;
}

void BalanceClasses(Task& task, ObjectiveKind kind) {
  if (kind == ObjectiveKind::kMeanSquaredError || task.support.size() == 0) return;
  const auto classes = [](const TaskSet& set) { return set.targets.to(at::kLong).reshape({-1}); };
  const at::Tensor support = classes(task.support);
  const bool has_query = task.query.size() > 0;
  const at::Tensor query = has_query ? classes(task.query) : at::Tensor();
  std::int64_t count = support.max().item<std::int64_t>() + 1;
  if (has_query) count = std::max(count, query.max().item<std::int64_t>() + 1);
  const at::Tensor of_class = 1.0 / (at::bincount(support, {}, count).to(at::kDouble) + 1.0);
  const at::Tensor weights = of_class.index_select(0, support);
  const at::Tensor mean = weights.mean();
  task.support.weights = (weights / mean).to(at::kFloat);
  if (has_query) task.query.weights = (of_class.index_select(0, query) / mean).to(at::kFloat);
}

Result<Task> GeneratorTaskSource::Draw(Rng& rng, std::int64_t support_per_class) {
  FEDMETA_ASSIGN_OR_RETURN(TaskExamples examples,
                           generator_.Draw(DataPart::kTrain, support_per_class, rng));
  Task task{.support = ToTaskSet(std::move(examples.support), device_),
            .query = ToTaskSet(std::move(examples.query), device_)};
  if (balanced_) BalanceClasses(task, ObjectiveOf(generator_.target_kind()));
  return task;
}

Result<TaskSet> GeneratorTaskSource::Examples(Rng& rng) {
  FEDMETA_ASSIGN_OR_RETURN(ExampleSet examples, generator_.TrainingExamples(rng));
  Task task{.support = ToTaskSet(std::move(examples), device_), .query = {}};
  if (balanced_) BalanceClasses(task, ObjectiveOf(generator_.target_kind()));
  return std::move(task.support);
}

}  // namespace fedmeta
