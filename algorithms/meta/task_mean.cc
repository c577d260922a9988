#include "fedmeta/algorithms/meta/task_mean.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <string>
#include <utility>

#include <ATen/ATen.h>

#include "fedmeta/algorithms/meta/libtorch_process.h"
#include "fedmeta/algorithms/meta/running_statistics.h"

namespace fedmeta {
namespace {

bool HasRunningStatistics(const Model& model) {
  return model.normalization() == NormalizationStatistics::kAveraged ||
         model.normalization() == NormalizationStatistics::kLocal;
}

/// One client while its tasks are under way. Tasks and outcomes are written by the worker that
/// holds the task; whoever finishes the last one reads them all.
struct ClientJob {
  std::vector<Task> tasks;
  std::vector<Rng> streams;
  std::vector<std::optional<TaskOutcome>> outcomes;
  std::vector<at::Tensor> statistics;  ///< of each task; undefined unless there are running ones
  std::vector<std::optional<Error>> failures;
  std::atomic<std::size_t> open{0};
  double weight = 0;
  std::vector<float> kept_statistics;
  Result<ClientUpdate> result = Error(ErrorCode::kInternal, "not computed");
};

/// Sums flat float tensors, in the order in which they come.
class FlatSum {
 public:
  explicit FlatSum(std::size_t size) : sum_(size, 0.0) {}
  void Add(const at::Tensor& flat) {
    const float* data = flat.data_ptr<float>();
    for (std::size_t i = 0; i < sum_.size(); ++i) sum_[i] += data[i];
    ++count_;
  }
  std::size_t count() const { return count_; }
  std::vector<double> Mean() const {
    std::vector<double> mean = sum_;
    const double share = 1.0 / static_cast<double>(count_);
    for (double& value : mean) value *= share;
    return mean;
  }

 private:
  std::vector<double> sum_;
  std::size_t count_ = 0;
};

at::Tensor OnCpu(const at::Tensor& tensor) {
  return tensor.defined() ? tensor.to(at::kCPU).contiguous() : tensor;
}

bool AllFinite(const at::Tensor& values) {
  if (!values.defined()) return true;
  const float* data = values.data_ptr<float>();
  return std::all_of(data, data + values.numel(), [](float value) { return std::isfinite(value); });
}

/// The update's statistics, or what the client keeps of them.
void AddStatistics(const Model& model, std::span<const float> state, const ClientJob& job,
                   const FlatSum& statistics, ClientUpdate& client) {
  if (!HasRunningStatistics(model)) return;
  const std::size_t parameters = ParameterCount(model);
  const bool averaged = StateHasStatistics(model);
  const std::vector<float> moved =
      MoveStatistics(averaged ? state.subspan(parameters, StatisticsCount(model))
                              : std::span<const float>(job.kept_statistics),
                     statistics.Mean(), model.statistics_momentum());
  if (averaged) {
    std::ranges::copy(moved, client.update.begin() + static_cast<std::ptrdiff_t>(parameters));
  } else {
    client.next_state = PackStatistics(moved);
  }
}

/// Theta and the learned step sizes behind it, without the statistics between them.
std::vector<float> LearnedPart(const Model& model, std::span<const float> state) {
  const auto theta = state.first(ParameterCount(model));
  const auto rates = state.subspan(StateSize(model));
  std::vector<float> learned(theta.begin(), theta.end());
  learned.insert(learned.end(), rates.begin(), rates.end());
  return learned;
}

/// The mean over the tasks that are fit for it, in task order.
Result<ClientUpdate> Combine(const Model& model, std::span<const float> state, ClientJob& job) {
  for (const std::optional<Error>& failure : job.failures) {
    if (failure) return *failure;
  }
  ClientUpdate client;
  const std::size_t parameters = ParameterCount(model);
  const std::size_t rates = state.size() - StateSize(model);
  FlatSum updates(parameters + rates);
  FlatSum statistics(HasRunningStatistics(model) ? StatisticsCount(model) : 0);
  for (std::size_t t = 0; t < job.outcomes.size(); ++t) {
    const std::optional<TaskOutcome>& outcome = job.outcomes[t];
    client.metrics.tasks += 1;
    const at::Tensor update = outcome ? OnCpu(outcome->update) : at::Tensor();
    const at::Tensor own = OnCpu(job.statistics[t]);
    if (!outcome || !std::isfinite(outcome->sums.query_loss) || !AllFinite(update) ||
        !AllFinite(own)) {
      client.metrics.diverged_tasks += 1;
      continue;
    }
    updates.Add(update);
    if (own.defined()) statistics.Add(own);
    client.metrics.Add(outcome->sums);
  }
  if (updates.count() == 0) {
    return Error(ErrorCode::kFailedPrecondition,
                 "the inner loop diverged in all " + std::to_string(job.outcomes.size()) +
                     " tasks of this client; lower the inner learning rate");
  }
  const std::vector<double> mean = updates.Mean();
  client.update.assign(state.size(), 0);  // frozen statistics stay 0
  const auto to_float = [](double value) { return static_cast<float>(value); };
  std::ranges::transform(std::span(mean).first(parameters), client.update.begin(), to_float);
  std::ranges::transform(std::span(mean).last(rates),
                         client.update.end() - static_cast<std::ptrdiff_t>(rates), to_float);
  AddStatistics(model, state, job, statistics, client);
  client.weight = job.weight;
  client.metrics.FinishClient();
  return client;
}

}  // namespace

double TaskMeanLearner::ClientWeight(const Task& /*task*/) const { return 1.0; }

std::vector<Result<ClientUpdate>> TaskMeanLearner::ComputeUpdates(
    const LearnContext& context, std::span<const float> state, std::span<ClientWork> work) const {
  const std::size_t coordinates = StateCoordinates(context.model);
  if (state.size() != coordinates) {
    return {work.size(), Error(ErrorCode::kInvalidArgument,
                               "state must have " + std::to_string(coordinates) +
                                   " coordinates, got " + std::to_string(state.size()))};
  }
  const Model& model = context.model;
  const at::Tensor learned = StateTensor(LearnedPart(model, state), context.device);
  const at::Tensor frozen = model.normalization() == NormalizationStatistics::kFrozen
                                ? StatisticsOfState(model, state, context.device)
                                : at::Tensor();

  // Sources are not thread-safe, so tasks are drawn here; each gets a stream of its own for what it
  // draws later.
  std::vector<ClientJob> jobs(work.size());
  std::vector<std::pair<ClientJob*, std::size_t>> pieces;
  for (std::size_t c = 0; c < work.size(); ++c) {
    ClientJob& job = jobs[c];
    if (model.normalization() == NormalizationStatistics::kLocal) {
      Result<std::vector<float>> kept = UnpackStatistics(model, work[c].state);
      if (!kept.ok()) {
        job.result = kept.error();
        continue;
      }
      job.kept_statistics = std::move(*kept);
    }
    for (std::uint32_t t = 0; t < tasks_per_round(); ++t) {
      Result<Task> task = DrawTask(*work[c].tasks, *work[c].rng);
      if (!task.ok()) {
        job.result = task.error();
        job.tasks.clear();
        break;
      }
      job.tasks.push_back(std::move(task).value());
      job.streams.emplace_back(StreamName{.seed = work[c].rng->Next64(), .purpose = "task"});
    }
    if (job.tasks.empty()) continue;
    job.weight = ClientWeight(job.tasks.front());
    job.outcomes.resize(job.tasks.size());
    job.statistics.resize(job.tasks.size());
    job.failures.resize(job.tasks.size());
    job.open = job.tasks.size();
    for (std::size_t t = 0; t < job.tasks.size(); ++t) pieces.emplace_back(&job, t);
  }

  std::vector<std::unique_ptr<TaskGradients>> gradients(context.pool ? context.pool->size() : 1);
  const auto learn = [&](std::size_t index, std::size_t worker) {
    auto [job, t] = pieces[index];
    try {
      std::unique_ptr<TaskGradients>& own = gradients[worker];
      if (!own) {
        own = MakeTaskGradients(model, context.objective, context.device, frozen);
        if (context.wrap) own = context.wrap(std::move(own));
      }
      const Task task{MoveTo(job->tasks[t].support, context.device),
                      MoveTo(job->tasks[t].query, context.device)};
      std::optional<TaskOutcome>& outcome = job->outcomes[t];
      outcome = LearnTask(*own, learned, task, job->streams[t]);
      const at::Tensor adapted = outcome ? std::exchange(outcome->adapted, {}) : at::Tensor();
      if (outcome && HasRunningStatistics(model)) {
        job->statistics[t] =
            own->Statistics(adapted, task.query.size() > 0 ? task.query : task.support);
      }
    } catch (...) {
      job->failures[t] = CurrentExceptionError().WithContext("a training task");
    }
    if (job->open.fetch_sub(1) > 1) return;
    job->result = Combine(model, state, *job);
    job->tasks.clear();
    job->outcomes.clear();
  };
  if (context.pool) {
    context.pool->ForEach(pieces.size(), learn);
  } else {
    const OneLibtorchThread one_thread;
    for (std::size_t i = 0; i < pieces.size(); ++i) learn(i, 0);
  }

  std::vector<Result<ClientUpdate>> results;
  results.reserve(jobs.size());
  for (ClientJob& job : jobs) results.push_back(std::move(job.result));
  return results;
}

}  // namespace fedmeta
