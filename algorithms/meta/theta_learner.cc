#include "fedmeta/algorithms/meta/theta_learner.h"

#include <algorithm>
#include <cmath>
#include <string>

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include "fedmeta/algorithms/meta/libtorch_process.h"
#include "fedmeta/algorithms/meta/running_statistics.h"
#include "fedmeta/core/text.h"

namespace fedmeta {
at::Tensor StateTensor(std::span<const float> state, const at::Device& device) {
  at::Tensor tensor = at::empty({static_cast<std::int64_t>(state.size())}, at::kFloat);
  std::copy(state.begin(), state.end(), tensor.data_ptr<float>());
  return tensor.to(device);
}

TaskSet MoveTo(const TaskSet& set, const at::Device& device) {
  if (!set.inputs.defined() || set.inputs.device() == device) return set;
  return {.inputs = set.inputs.to(device),
          .targets = set.targets.to(device),
          .weights = set.weights.defined() ? set.weights.to(device) : at::Tensor()};
}

Error CurrentExceptionError() {
  try {
    throw;
  } catch (const c10::IndexError&) {
    // LibTorch's text names the index, which may be a label.
    return {ErrorCode::kInvalidArgument, "a label lies outside the outputs of the model"};
  } catch (const c10::Error& error) {
    return {ErrorCode::kInternal, std::string("LibTorch: ") + error.what_without_backtrace()};
  } catch (const std::exception& error) {
    return {ErrorCode::kInternal, error.what()};
  }
}

Result<StateLayout> ThetaLearner::DescribeState(const Model& model) const {
  const auto tensors = model.tensors();
  std::vector<Segment> segments = {{.name = "theta",
                                    .rule = ServerRule::kOptimize,
                                    .tensors = {tensors.begin(), tensors.end()}}};
  if (StateHasStatistics(model)) {
    // Scale 0: whatever clients send, frozen statistics stay.
    const bool frozen = model.normalization() == NormalizationStatistics::kFrozen;
    const auto statistics = model.statistics();
    segments.push_back({.name = "statistics",
                        .rule = frozen ? ServerRule::kAccumulate : ServerRule::kMean,
                        .scale = frozen ? 0.0 : 1.0,
                        .tensors = {statistics.begin(), statistics.end()}});
  }
  if (std::optional<Segment> rates = learned_rates().Describe(model))
    segments.push_back(*std::move(rates));
  return StateLayout::Create(std::move(segments));
}

Result<std::vector<float>> ThetaLearner::InitialState(const Model& model, Rng& rng) const {
  std::vector<float> state = model.InitialParameters(rng);
  if (StateHasStatistics(model)) {
    const std::vector<float> statistics = InitialStatistics(model);
    state.insert(state.end(), statistics.begin(), statistics.end());
  }
  state.resize(StateCoordinates(model));  // exp(0): the rate as it is set
  return state;
}

std::size_t ThetaLearner::StateCoordinates(const Model& model) const {
  return StateSize(model) + learned_rates().size(model);
}

Status ThetaLearner::CheckAdaptation(const Model& model, std::span<const float> state,
                                     const TaskSet& support, const AdaptOptions& options) const {
  const std::size_t expected = StateCoordinates(model);
  if (state.size() != expected) {
    return Error(ErrorCode::kInvalidArgument, "state must have " + std::to_string(expected) +
                                                  " coordinates, got " +
                                                  std::to_string(state.size()));
  }
  if (!std::isfinite(options.learning_rate) || options.learning_rate < 0) {
    return Error(ErrorCode::kInvalidArgument, "learning_rate of adaptation must be >= 0, got " +
                                                  FormatNumber(options.learning_rate));
  }
  if (!std::is_sorted(options.steps.begin(), options.steps.end())) {
    return Error(ErrorCode::kInvalidArgument, "steps of adaptation must ascend");
  }
  if (support.size() == 0) {
    return Error(ErrorCode::kFailedPrecondition, "the support set is empty");
  }
  return {};
}

Status ThetaLearner::Adapt(
    const LearnContext& context, const TaskGradients& gradients, std::span<const float> state,
    const TaskSet& support, const AdaptOptions& options,
    const std::function<void(std::uint32_t, const at::Tensor&)>& visit) const {
  FEDMETA_RETURN_IF_ERROR(CheckAdaptation(context.model, state, support, options));
  if (options.steps.empty()) return {};
  InnerLoopOptions loop = adaptation_loop();
  loop.learning_rate = options.learning_rate;
  loop.steps = options.steps.back();
  if (options.rng == nullptr) loop.batch_size = 0;
  const auto visit_wanted = [&](std::uint32_t k, const at::Tensor& parameters) {
    if (!std::binary_search(options.steps.begin(), options.steps.end(), k)) return true;
    if (!at::isfinite(parameters).all().item<bool>()) return false;
    visit(k, parameters);
    return true;
  };
  try {
    const OneLibtorchThread one_thread;
    const LearnedRates rates = learned_rates();
    if (const std::size_t count = rates.size(context.model); count > 0)
      loop.rate_scale = rates.Scale(context.model, StateTensor(state.last(count), context.device));
    RunInnerLoop(gradients, StateTensor(state.first(ParameterCount(context.model)), context.device),
                 MoveTo(support, context.device), loop, options.rng, KeepSteps::kNone,
                 visit_wanted);
  } catch (...) {
    return CurrentExceptionError().WithContext("adaptation");
  }
  return {};
}

}  // namespace fedmeta
