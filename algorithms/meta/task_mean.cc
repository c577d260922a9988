#include "fedmeta/algorithms/meta/task_mean.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <string>
#include <utility>

#include <ATen/ATen.h>

#include "fedmeta/algorithms/meta/libtorch_process.h"

namespace fedmeta {
namespace {

/// One client while its tasks are under way. Tasks and outcomes are written by the worker that
/// holds the task; whoever finishes the last one reads them all.
struct ClientJob {
  std::vector<Task> tasks;
  std::vector<Rng> streams;
  std::vector<std::optional<TaskOutcome>> outcomes;
  std::vector<std::optional<Error>> failures;
  std::atomic<std::size_t> open{0};
  double weight = 0;
  Result<ClientUpdate> result = Error(ErrorCode::kInternal, "not computed");
};

bool AllFinite(const at::Tensor& values) {
  const float* data = values.data_ptr<float>();
  return std::all_of(data, data + values.numel(), [](float value) { return std::isfinite(value); });
}

/// The mean over the tasks that are fit for it, in task order.
Result<ClientUpdate> Combine(ClientJob& job, std::size_t coordinates) {
  for (const std::optional<Error>& failure : job.failures) {
    if (failure) return *failure;
  }
  ClientUpdate client;
  std::vector<double> sum(coordinates, 0.0);
  std::size_t used = 0;
  for (std::optional<TaskOutcome>& outcome : job.outcomes) {
    const at::Tensor update = outcome ? outcome->update.to(at::kCPU).contiguous() : at::Tensor();
    client.metrics.tasks += 1;
    if (!outcome || !std::isfinite(outcome->sums.query_loss) || !AllFinite(update)) {
      client.metrics.diverged_tasks += 1;
      continue;
    }
    const float* data = update.data_ptr<float>();
    for (std::size_t i = 0; i < coordinates; ++i) sum[i] += data[i];
    client.metrics.Add(outcome->sums);
    ++used;
  }
  if (used == 0) {
    return Error(ErrorCode::kFailedPrecondition,
                 "the inner loop diverged in all " + std::to_string(job.outcomes.size()) +
                     " tasks of this client; lower the inner learning rate");
  }
  client.update.resize(coordinates);
  const double share = 1.0 / static_cast<double>(used);
  for (std::size_t i = 0; i < coordinates; ++i) {
    client.update[i] = static_cast<float>(sum[i] * share);
  }
  client.weight = job.weight;
  client.metrics.FinishClient();
  return client;
}

}  // namespace

double TaskMeanLearner::ClientWeight(const Task& /*task*/) const { return 1.0; }

std::vector<Result<ClientUpdate>> TaskMeanLearner::ComputeUpdates(
    const LearnContext& context, std::span<const float> state, std::span<ClientWork> work) const {
  const std::size_t coordinates = ParameterCount(context.model);
  if (state.size() != coordinates) {
    return {work.size(), Error(ErrorCode::kInvalidArgument,
                               "state must have " + std::to_string(coordinates) +
                                   " coordinates, got " + std::to_string(state.size()))};
  }
  const at::Tensor theta = StateTensor(state, context.device);

  // Sources are not thread-safe, so tasks are drawn here; each gets a stream of its own for what it
  // draws later.
  std::vector<ClientJob> jobs(work.size());
  std::vector<std::pair<ClientJob*, std::size_t>> pieces;
  for (std::size_t c = 0; c < work.size(); ++c) {
    ClientJob& job = jobs[c];
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
    job.failures.resize(job.tasks.size());
    job.open = job.tasks.size();
    for (std::size_t t = 0; t < job.tasks.size(); ++t) pieces.emplace_back(&job, t);
  }

  std::vector<std::unique_ptr<TaskGradients>> gradients(context.pool ? context.pool->size() : 1);
  const auto learn = [&](std::size_t index, std::size_t worker) {
    auto [job, t] = pieces[index];
    try {
      std::unique_ptr<TaskGradients>& own = gradients[worker];
      if (!own) own = MakeTaskGradients(context.model, context.objective, context.device);
      const Task task{MoveTo(job->tasks[t].support, context.device),
                      MoveTo(job->tasks[t].query, context.device)};
      job->outcomes[t] = LearnTask(*own, theta, task, job->streams[t]);
    } catch (...) {
      job->failures[t] = CurrentExceptionError().WithContext("a training task");
    }
    if (job->open.fetch_sub(1) > 1) return;
    job->result = Combine(*job, coordinates);
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
