#pragma once

#include "fedmeta/algorithms/meta/meta_learner.h"
#include "fedmeta/client/data/task_generator.h"

namespace fedmeta {

/// The loss that a kind of target is learned with.
ObjectiveKind ObjectiveOf(TargetKind kind);

/// Examples as tensors, on the device. Takes over the memory.
TaskSet ToTaskSet(ExampleSet&& examples, const at::Device& device);

/// A client's task generator as the algorithms see it: training tasks as tensors.
class GeneratorTaskSource final : public TaskSource {
 public:
  /// `generator` is borrowed.
  GeneratorTaskSource(TaskGenerator& generator, at::Device device)
      : generator_(generator), device_(device) {}
  Result<Task> Draw(Rng& rng, std::int64_t support_per_class) override;
  Result<TaskSet> Examples(Rng& rng) override;

 private:
  TaskGenerator& generator_;
  at::Device device_;
};

}  // namespace fedmeta
