#include "fedmeta/client/evaluator.h"

#include <algorithm>
#include <map>
#include <optional>
#include <string>

#include <ATen/ATen.h>

#include "fedmeta/client/task_source.h"

namespace fedmeta {
namespace {

// Episodes in memory at a time.
constexpr std::size_t kChunk = 64;

struct Episode {
  std::size_t client = 0, shots_index = 0;
  std::uint32_t number = 0;
  Task task;
  std::vector<float> start;
};

DataPart PartOf(v1::Part part) {
  return part == v1::PART_VALIDATION ? DataPart::kValidation : DataPart::kTest;
}

std::string EpisodePurpose(const char* what, v1::Part part, std::uint32_t shots) {
  return std::string(what) + (part == v1::PART_VALIDATION ? "/validation/" : "/test/") +
         std::to_string(shots);
}

class Evaluation {
 public:
  Evaluation(const v1::Evaluate& evaluate, const LegRuntime& leg, const Objective& objective,
             const at::Device& device, std::span<const float> state,
             std::span<const LocalClient> clients, WorkerPool& pool)
      : evaluate_(evaluate),
        leg_(leg),
        objective_(objective),
        device_(device),
        state_(state),
        clients_(clients),
        pool_(pool),
        rates_(static_cast<std::size_t>(evaluate.learning_rates_size())),
        steps_(evaluate.steps().begin(), evaluate.steps().end()),
        cells_(clients.size(),
               std::vector<MetricSums>(static_cast<std::size_t>(evaluate.shots_size()) * rates_ *
                                       steps_.size())),
        errors_(clients.size()) {
    for (std::size_t i = 0; i < pool.size(); ++i)
      gradients_.push_back(MakeTaskGradients(*leg.task_model, objective, device));
  }

  std::vector<Result<std::vector<MetricSums>>> Run() {
    std::vector<Episode> chunk;
    for (std::size_t client = 0; client < clients_.size(); ++client) {
      for (int s = 0; s < evaluate_.shots_size(); ++s) {
        for (std::uint32_t number = 0; number < evaluate_.episodes(); ++number) {
          Draw(client, static_cast<std::size_t>(s), number, chunk);
          if (chunk.size() == kChunk) Measure(chunk);
        }
      }
    }
    Measure(chunk);
    std::vector<Result<std::vector<MetricSums>>> results;
    for (std::size_t client = 0; client < clients_.size(); ++client) {
      if (errors_[client]) {
        results.emplace_back(*errors_[client]);
        continue;
      }
      for (MetricSums& cell : cells_[client]) cell.FinishClient();
      results.emplace_back(std::move(cells_[client]));
    }
    return results;
  }

 private:
  void Draw(std::size_t client, std::size_t shots_index, std::uint32_t number,
            std::vector<Episode>& chunk) {
    if (errors_[client]) return;
    const LocalClient& local = clients_[client];
    const std::uint32_t shots = evaluate_.shots(static_cast<int>(shots_index));
    const std::string episode_purpose = EpisodePurpose("episode", evaluate_.part(), shots);
    Rng rng(StreamName{.seed = leg_.assignment.seed(),
                       .purpose = episode_purpose,
                       .client = local.name,
                       .round = number});
    Result<TaskExamples> examples = local.tasks->Draw(PartOf(evaluate_.part()), shots, rng);
    if (!examples.ok()) {
      errors_[client] = examples.error();
      return;
    }
    const std::string start_purpose = EpisodePurpose("start", evaluate_.part(), shots);
    chunk.push_back({.client = client,
                     .shots_index = shots_index,
                     .number = number,
                     .task = {.support = ToTaskSet(std::move(examples->support), device_),
                              .query = ToTaskSet(std::move(examples->query), device_)},
                     .start = StartingParameters(leg_, state_, local.tasks->relabels(),
                                                 {.seed = leg_.assignment.seed(),
                                                  .purpose = start_purpose,
                                                  .client = local.name,
                                                  .round = number})});
  }

  // One unit of work is an episode at a rate; its figures are added in a fixed order afterwards.
  void Measure(std::vector<Episode>& chunk) {
    std::vector<std::vector<std::optional<MetricSums>>> figures(chunk.size() * rates_);
    std::vector<Status> statuses(figures.size());
    pool_.ForEach(figures.size(), [&](std::size_t unit, std::size_t worker) {
      const Episode& episode = chunk[unit / rates_];
      auto& measured = figures[unit];
      measured.resize(steps_.size());
      const std::uint32_t shots = evaluate_.shots(static_cast<int>(episode.shots_index));
      const std::string purpose = EpisodePurpose("adapt", evaluate_.part(), shots);
      Rng rng(StreamName{.seed = leg_.assignment.seed(),
                         .purpose = purpose,
                         .client = clients_[episode.client].name,
                         .round = episode.number});
      const LearnContext context{
          .model = *leg_.task_model, .objective = objective_, .pool = nullptr, .device = device_};
      const AdaptOptions options{
          .steps = steps_,
          .learning_rate = evaluate_.learning_rates(static_cast<int>(unit % rates_)),
          .rng = &rng};
      std::size_t next = 0;
      statuses[unit] = leg_.learner->Adapt(
          context, *gradients_[worker], episode.start, episode.task.support, options,
          [&](std::uint32_t, const at::Tensor& parameters) {
            measured[next++] = gradients_[worker]->Measure(parameters, episode.task.query);
          });
    });
    for (std::size_t unit = 0; unit < figures.size(); ++unit) {
      const Episode& episode = chunk[unit / rates_];
      if (!statuses[unit].ok()) {
        if (!errors_[episode.client]) errors_[episode.client] = statuses[unit].error();
        continue;
      }
      MetricSums* cells =
          &cells_[episode.client][(episode.shots_index * rates_ + unit % rates_) * steps_.size()];
      for (std::size_t step = 0; step < steps_.size(); ++step) {
        MetricSums sums = figures[unit][step].value_or(MetricSums{});
        const bool diverged = !figures[unit][step] || !std::isfinite(sums.query_loss);
        if (diverged) sums = MetricSums{};
        sums.tasks = 1;
        sums.diverged_tasks = diverged ? 1 : 0;
        cells[step].Add(sums);
      }
    }
    chunk.clear();
  }

  const v1::Evaluate& evaluate_;
  const LegRuntime& leg_;
  const Objective& objective_;
  const at::Device device_;
  const std::span<const float> state_;
  const std::span<const LocalClient> clients_;
  WorkerPool& pool_;
  const std::size_t rates_;
  const std::vector<std::uint32_t> steps_;
  std::vector<std::unique_ptr<TaskGradients>> gradients_;
  std::vector<std::vector<MetricSums>> cells_;
  std::vector<std::optional<Error>> errors_;
};

}  // namespace

std::vector<float> StartingParameters(const LegRuntime& leg, std::span<const float> state,
                                      bool relabels, const StreamName& stream) {
  const bool fresh = !leg.learner->trains();
  const bool new_head =
      leg.learner->uses_site_labels() && (relabels || leg.model != leg.task_model);
  if (!fresh && !new_head) return {state.begin(), state.end()};
  Rng rng(stream);
  std::vector<float> start = leg.task_model->InitialParameters(rng);
  if (fresh) return start;
  // Averaging methods exchange theta alone, so the state is the model's parameters in order.
  std::size_t from = 0;
  std::size_t to = 0;
  const auto trained = leg.model->tensors();
  const auto wanted = leg.task_model->tensors();
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    const std::size_t have = *ElementCount(trained[i].shape);
    const std::size_t want = *ElementCount(wanted[i].shape);
    if (wanted[i].kind != TensorKind::kHead && have == want) {
      std::copy_n(state.begin() + static_cast<std::ptrdiff_t>(from), want,
                  start.begin() + static_cast<std::ptrdiff_t>(to));
    }
    from += have;
    to += want;
  }
  return start;
}

std::vector<Result<std::vector<MetricSums>>> EvaluateClients(
    const v1::Evaluate& evaluate, const LegRuntime& leg, const Objective& objective,
    const at::Device& device, std::span<const float> state, std::span<const LocalClient> clients,
    WorkerPool& pool) {
  return Evaluation(evaluate, leg, objective, device, state, clients, pool).Run();
}

}  // namespace fedmeta
