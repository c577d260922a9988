#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "fedmeta/client/data/dataset.h"
#include "fedmeta/core/result.h"
#include "fedmeta/core/rng.h"

namespace fedmeta {

/// Examples as flat floats; client/task_source.cc makes tensors of them.
struct ExampleSet {
  std::vector<std::int64_t> example_shape;
  std::size_t count = 0;
  std::vector<float> inputs;         ///< count x product(example_shape)
  std::vector<std::int64_t> labels;  ///< kClass: count codes in [0, outputs)
  std::vector<float> targets;        ///< kBinary, kReal: count x target width
};

/// A row of a dataset, and the label under which a task has it.
struct TaskRow {
  std::uint32_t row = 0;
  std::int64_t label = 0;
};

struct TaskExamples {
  ExampleSet support, query;
  /// Where the task numbers its classes anew: codes[output] is the client's own code.
  std::vector<std::int64_t> codes = {};
  /// What the examples were read from, fitted to the support rows; null where there is no table.
  std::shared_ptr<const Dataset> dataset = nullptr;
  /// The support examples' rows of it, in their order.
  std::vector<TaskRow> support_rows = {};
  /// Whose record each query row is; empty: each stands for itself.
  std::vector<std::uint32_t> query_groups = {};
};

/// What an episode is for. A client's rows are its own and other clients never see them, so
/// `episodic` draws every part from all of them: what is held out are clients (and, under
/// partition.class_split, their classes). Parts differ where rotations make classes (training only)
/// and in `split`, whose validation part has query rows of its own.
enum class DataPart : std::uint8_t { kTrain, kValidation, kTest };

/// Draws one client's tasks. Draws depend on the Rng only. Not thread-safe: one a client.
class TaskGenerator {
 public:
  virtual ~TaskGenerator() = default;
  /// What Draw(part, shots) can give, or the reason why not ("5 ways need 5 classes, this client
  /// has 3"): said before round 1.
  virtual Status CanDraw(DataPart part, std::int64_t shots) const = 0;
  /// One task. `shots`: support examples a class (points, in regression); 0: the experiment's.
  /// Query examples never stand in the support set. From one stream, more shots give the same
  /// queries and add to the support of fewer (of `episodic`: while the same classes are large
  /// enough).
  virtual Result<TaskExamples> Draw(DataPart part, std::int64_t shots, Rng& rng) = 0;
  /// Rows of a validation part of its own; 0: Draw(kValidation) has the rows of another part.
  virtual std::size_t validation_examples() const { return 0; }
  /// Whether Draw(validation or test, shots) gives other tasks from other streams; false where the
  /// client is one task, which is then measured once.
  virtual bool draws(std::int64_t /*shots*/) const { return true; }
  /// All training examples under this client's own codes, for the averaging algorithms.
  virtual Result<ExampleSet> TrainingExamples(Rng& rng) = 0;
  virtual TargetKind target_kind() const = 0;
  /// Outputs that a task needs: ways; 1 in regression; of `split` one more than this client's
  /// largest code.
  virtual std::int64_t task_outputs() const = 0;
  /// True where a task numbers its classes anew, so that a head learned under the site's own codes
  /// does not fit.
  virtual bool relabels() const { return false; }
  virtual std::size_t examples()
      const = 0;  ///< rows this client holds; 0 where tasks are drawn from a formula
};

}  // namespace fedmeta
