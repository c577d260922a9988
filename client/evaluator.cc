#include "fedmeta/client/evaluator.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <string>

#include <ATen/ATen.h>

#include "fedmeta/algorithms/meta/running_statistics.h"
#include "fedmeta/algorithms/meta/theta_learner.h"
#include "fedmeta/client/task_source.h"

namespace fedmeta {
namespace {

// Episodes in memory at a time.
constexpr std::size_t kChunk = 64;

std::string EpisodePurpose(const char* what, v1::Part part, std::uint32_t shots) {
  return std::string(what) + (part == v1::PART_VALIDATION ? "/validation/" : "/test/") +
         std::to_string(shots);
}

Result<std::vector<float>> StartingState(const LegRuntime& leg, std::span<const float> state,
                                         bool relabels, const StreamName& stream) {
  const bool fresh = !leg.learner->trains();
  const bool new_head =
      leg.learner->uses_site_labels() && (relabels || leg.model != leg.task_model);
  if (!fresh && !new_head) return std::vector<float>(state.begin(), state.end());
  Rng rng(stream);
  FEDMETA_ASSIGN_OR_RETURN(std::vector<float> start,
                           leg.learner->InitialState(*leg.task_model, rng));
  if (fresh) return start;
  // Averaging methods exchange theta and statistics alone, so the state is the model's parameters
  // in order, and then what does not depend on the head.
  std::size_t from = 0;
  std::size_t to = 0;
  const auto keep = [&](std::size_t count) {
    std::copy_n(state.begin() + static_cast<std::ptrdiff_t>(from), count,
                start.begin() + static_cast<std::ptrdiff_t>(to));
  };
  const auto trained = leg.model->tensors();
  const auto wanted = leg.task_model->tensors();
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    const std::size_t have = *ElementCount(trained[i].shape);
    const std::size_t want = *ElementCount(wanted[i].shape);
    if (wanted[i].kind != TensorKind::kHead && have == want) keep(want);
    from += have;
    to += want;
  }
  keep(StateSize(*leg.task_model) - to);
  return start;
}

/// The running statistics of a client; undefined where it has none.
Result<at::Tensor> RunningStatistics(const LegRuntime& leg, std::span<const float> state,
                                     const LocalClient& client, const at::Device& device) {
  const Model& model = *leg.task_model;
  switch (model.normalization()) {
    case NormalizationStatistics::kAveraged:
      // Nobody has moved those of a method that trains nothing.
      return leg.learner->trains() ? StatisticsOfState(model, state, device) : at::Tensor();
    case NormalizationStatistics::kFrozen:
      return StatisticsOfState(model, state, device);
    case NormalizationStatistics::kLocal: {
      FEDMETA_ASSIGN_OR_RETURN(const std::vector<float> kept, UnpackStatistics(model, client.kept));
      return kept.empty() ? at::Tensor() : StateTensor(kept, device);
    }
    default:
      return at::Tensor();
  }
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
    for (std::size_t i = 0; i < pool.size(); ++i) {
      gradients_.push_back(MakeLegGradients(leg, objective, state, device));
    }
  }

  std::vector<Result<std::vector<MetricSums>>> Run() {
    for (std::size_t client = 0; client < clients_.size(); ++client) {
      for (int s = 0; s < evaluate_.shots_size(); ++s) {
        const bool draws = clients_[client].tasks->draws(Shots(static_cast<std::size_t>(s)));
        const std::uint32_t episodes = draws ? evaluate_.episodes() : 1;
        for (std::uint32_t number = 0; number < episodes; ++number) {
          Draw(client, static_cast<std::size_t>(s), number);
          if (chunk_.size() == kChunk) MeasureChunk();
        }
      }
    }
    MeasureChunk();
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
  struct Pending {
    std::size_t client = 0, shots_index = 0;
    std::uint32_t number = 0;
    Episode episode;
  };
  /// Nothing where adaptation diverged before that step count.
  using Figures = std::vector<std::optional<MetricSums>>;

  std::uint32_t Shots(std::size_t index) const { return evaluate_.shots(static_cast<int>(index)); }

  void Draw(std::size_t client, std::size_t shots_index, std::uint32_t number) {
    if (errors_[client]) return;
    Result<Episode> episode = DrawEpisode(leg_, state_, clients_[client], evaluate_.part(),
                                          Shots(shots_index), number, device_);
    if (!episode.ok()) {
      errors_[client] = episode.error();
      return;
    }
    chunk_.push_back({.client = client,
                      .shots_index = shots_index,
                      .number = number,
                      .episode = std::move(*episode)});
  }

  Status MeasureOne(const Pending& pending, double learning_rate, const TaskGradients& gradients,
                    Figures& figures) const {
    Rng rng = AdaptationStream(leg_, clients_[pending.client].name, evaluate_.part(),
                               Shots(pending.shots_index), pending.number);
    const LearnContext context{
        .model = *leg_.task_model, .objective = objective_, .pool = nullptr, .device = device_};
    const AdaptOptions options{.steps = steps_, .learning_rate = learning_rate, .rng = &rng};
    std::size_t next = 0;
    return leg_.learner->Adapt(
        context, gradients, pending.episode.start, pending.episode.task.support, options,
        [&](std::uint32_t, const at::Tensor& parameters) {
          figures[next++] =
              MeasureEpisode(leg_, objective_, gradients, pending.episode, parameters);
        });
  }

  // One unit of work is an episode at a rate; its figures are added in a fixed order afterwards.
  void MeasureChunk() {
    std::vector<Figures> figures(chunk_.size() * rates_, Figures(steps_.size()));
    std::vector<Status> statuses(figures.size());
    pool_.ForEach(figures.size(), [&](std::size_t unit, std::size_t worker) {
      statuses[unit] = MeasureOne(chunk_[unit / rates_],
                                  evaluate_.learning_rates(static_cast<int>(unit % rates_)),
                                  *gradients_[worker], figures[unit]);
    });
    for (std::size_t unit = 0; unit < figures.size(); ++unit) {
      const Pending& pending = chunk_[unit / rates_];
      if (!statuses[unit].ok()) {
        if (!errors_[pending.client]) errors_[pending.client] = statuses[unit].error();
        continue;
      }
      const std::size_t first = (pending.shots_index * rates_ + unit % rates_) * steps_.size();
      for (std::size_t step = 0; step < steps_.size(); ++step) {
        const auto& measured = figures[unit][step];
        const bool diverged = !measured || !std::isfinite(measured->query_loss);
        MetricSums sums = diverged ? MetricSums{} : *measured;
        sums.tasks = 1;
        sums.diverged_tasks = diverged ? 1 : 0;
        cells_[pending.client][first + step].Add(sums);
      }
    }
    chunk_.clear();
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
  std::vector<Pending> chunk_;
  std::vector<std::vector<MetricSums>> cells_;
  std::vector<std::optional<Error>> errors_;
};

}  // namespace

Result<Episode> DrawEpisode(const LegRuntime& leg, std::span<const float> state,
                            const LocalClient& client, v1::Part part, std::uint32_t shots,
                            std::uint32_t number, const at::Device& device) {
  const std::uint64_t seed = leg.assignment.seed();
  const std::string purpose = EpisodePurpose("episode", part, shots);
  Rng rng(StreamName{.seed = seed, .purpose = purpose, .client = client.name, .round = number});
  FEDMETA_ASSIGN_OR_RETURN(
      TaskExamples examples,
      client.tasks->Draw(part == v1::PART_VALIDATION ? DataPart::kValidation : DataPart::kTest,
                         shots, rng));
  const std::string start_purpose = EpisodePurpose("start", part, shots);
  FEDMETA_ASSIGN_OR_RETURN(
      std::vector<float> start,
      StartingState(
          leg, state, client.tasks->relabels(),
          {.seed = seed, .purpose = start_purpose, .client = client.name, .round = number}));
  FEDMETA_ASSIGN_OR_RETURN(at::Tensor statistics, RunningStatistics(leg, state, client, device));
  Task task{.support = ToTaskSet(std::move(examples.support), device),
            .query = ToTaskSet(std::move(examples.query), device)};
  if (leg.balanced) BalanceClasses(task, ObjectiveOf(client.tasks->target_kind()));
  return Episode{.task = std::move(task),
                 .start = std::move(start),
                 .codes = examples.codes,
                 .drawn = std::move(examples),
                 .statistics = std::move(statistics)};
}

at::Tensor QueryStatistics(const LegRuntime& leg, const TaskGradients& gradients,
                           const Episode& episode, const at::Tensor& parameters) {
  if (leg.transductive || episode.statistics.defined()) return episode.statistics;
  return gradients.Statistics(parameters, episode.task.support);
}

MetricSums MeasureEpisode(const LegRuntime& leg, const Objective& objective,
                          const TaskGradients& gradients, const Episode& episode,
                          const at::Tensor& parameters) {
  const TaskSet& query = episode.task.query;
  return objective.Evaluate(
      gradients.Outputs(parameters, query, QueryStatistics(leg, gradients, episode, parameters)),
      query.targets);
}

std::unique_ptr<TaskGradients> MakeLegGradients(const LegRuntime& leg, const Objective& objective,
                                                std::span<const float> state,
                                                const at::Device& device) {
  const bool frozen = leg.task_model->normalization() == NormalizationStatistics::kFrozen;
  return MakeTaskGradients(
      *leg.task_model, objective, device,
      frozen ? StatisticsOfState(*leg.task_model, state, device) : at::Tensor());
}

Rng AdaptationStream(const LegRuntime& leg, const std::string& client, v1::Part part,
                     std::uint32_t shots, std::uint32_t number) {
  const std::string purpose = EpisodePurpose("adapt", part, shots);
  return Rng(StreamName{
      .seed = leg.assignment.seed(), .purpose = purpose, .client = client, .round = number});
}

std::vector<Result<std::vector<MetricSums>>> EvaluateClients(
    const v1::Evaluate& evaluate, const LegRuntime& leg, const Objective& objective,
    const at::Device& device, std::span<const float> state, std::span<const LocalClient> clients,
    WorkerPool& pool) {
  return Evaluation(evaluate, leg, objective, device, state, clients, pool).Run();
}

}  // namespace fedmeta
