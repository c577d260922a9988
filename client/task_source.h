#pragma once

#include "fedmeta/algorithms/meta/meta_learner.h"
#include "fedmeta/client/data/task_generator.h"

namespace fedmeta {

/// The loss that a kind of target is learned with.
ObjectiveKind ObjectiveOf(TargetKind kind);

/// Examples as tensors, on the device. Takes over the memory.
TaskSet ToTaskSet(ExampleSet&& examples, const at::Device& device);

/// data.class_weights balanced: gives every example the weight of its class, inversely to the
/// class's rows in the support set, each class counted once more than it occurs; the mean over the
/// support set is 1. A class that the support set lacks thus has a bounded weight in the query set,
/// and a set of one class has weights of 1. Targets without classes stay as they are.
void BalanceClasses(Task& task, ObjectiveKind kind);

/// A client's task generator as the algorithms see it: training tasks as tensors.
class GeneratorTaskSource final : public TaskSource {
 public:
  /// `generator` is borrowed. `balanced`: with the weights of BalanceClasses.
  GeneratorTaskSource(TaskGenerator& generator, at::Device device, bool balanced)
      : generator_(generator), device_(device), balanced_(balanced) {}
  Result<Task> Draw(Rng& rng, std::int64_t support_per_class) override;
  Result<TaskSet> Examples(Rng& rng) override;

 private:
  TaskGenerator& generator_;
  at::Device device_;
  bool balanced_;
};

}  // namespace fedmeta
