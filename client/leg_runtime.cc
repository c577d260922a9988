#include "fedmeta/client/leg_runtime.h"

#include "fedmeta/privacy/update_compression.h"
#include "fedmeta/protocol/limits.h"

namespace fedmeta {
namespace {

// Far beyond any label set or regression target, and small enough that a hostile assignment cannot
// exhaust memory.
constexpr std::int64_t kMaximumOutputs = 1'000'000;

Error Refused(const std::string& what) {
  return {ErrorCode::kInvalidArgument, "assignment: " + what};
}

}  // namespace

Result<std::shared_ptr<const LegRuntime>> LegRuntime::Create(const LearnRegistries& registries,
                                                             std::string assignment_bytes,
                                                             const TaskGenerator& tasks) {
  if (assignment_bytes.size() > kMaximumAssignmentBytes)
    return Refused("larger than " + std::to_string(kMaximumAssignmentBytes) + " bytes");
  auto leg = std::make_shared<LegRuntime>();
  if (!leg->assignment.ParseFromString(assignment_bytes))
    return Refused("not a protobuf message of its kind");
  const v1::Assignment& assignment = leg->assignment;
  if (assignment.outputs() == 0 || assignment.outputs() > kMaximumOutputs) {
    return Refused("outputs must be 1 to " + std::to_string(kMaximumOutputs) + ", got " +
                   std::to_string(assignment.outputs()));
  }
  ModelContext context{
      .input_shape = {assignment.input_shape().begin(), assignment.input_shape().end()},
      .outputs = assignment.outputs()};
  FEDMETA_ASSIGN_OR_RETURN(leg->model, MakeModel(registries.models, assignment.model(), context));
  const std::int64_t task_outputs = tasks.relabels() ? tasks.task_outputs() : context.outputs;
  if (task_outputs == context.outputs) {
    leg->task_model = leg->model;
  } else {
    context.outputs = task_outputs;
    FEDMETA_ASSIGN_OR_RETURN(leg->task_model,
                             MakeModel(registries.models, assignment.model(), context));
  }
  const bool by_batch = leg->model->normalization() == NormalizationStatistics::kBatch;
  leg->transductive = assignment.has_transductive() ? assignment.transductive() : by_batch;
  if (leg->transductive && !by_batch) {
    return Refused("transductive needs a model that normalises by the batch at hand, which " +
                   assignment.model().name() + " with these settings does not");
  }
  if (!assignment.class_weights().empty() && assignment.class_weights() != "none" &&
      assignment.class_weights() != "balanced") {
    return Refused("class_weights must be none or balanced, got '" + assignment.class_weights() +
                   "'");
  }
  if (assignment.has_compression())
    FEDMETA_RETURN_IF_ERROR(CheckTerms(assignment.compression()));
  leg->balanced = assignment.class_weights() == "balanced";
  if (leg->balanced && assignment.differential_privacy().mode() == "local") {
    return Refused(
        "class_weights balanced makes what one record counts depend on the others, which noise for "
        "one record does not hide: set it to none");
  }
  FEDMETA_ASSIGN_OR_RETURN(leg->learner,
                           MakeMetaLearner(registries.algorithms, assignment.algorithm()));
  FEDMETA_ASSIGN_OR_RETURN(leg->layout, leg->learner->DescribeState(*leg->model));
  FEDMETA_ASSIGN_OR_RETURN(const Digest fingerprint,
                           Digest::FromBytes(assignment.layout_fingerprint()));
  if (fingerprint != leg->layout.fingerprint()) {
    return Refused("its state layout is not the one that this program makes of model " +
                   assignment.model().name() + " and algorithm " + assignment.algorithm().name() +
                   ": both sides need the same release");
  }
  return std::shared_ptr<const LegRuntime>(std::move(leg));
}

}  // namespace fedmeta
