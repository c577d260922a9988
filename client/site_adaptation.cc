#include "fedmeta/client/site_adaptation.h"

#include <utility>

#include <ATen/ATen.h>

#include "fedmeta/client/data/cross_validation.h"
#include "fedmeta/client/task_source.h"
#include "fedmeta/core/text.h"

namespace fedmeta {

SiteAdaptation::SiteAdaptation(const TrainedModel& model, std::shared_ptr<const LegRuntime> leg,
                               const LocalClient& site, std::uint32_t shots, WorkerPool& pool)
    : model_(model),
      leg_(std::move(leg)),
      site_(site),
      shots_(shots),
      pool_(pool),
      device_(model.assignment.device().empty() ? "cpu" : model.assignment.device()),
      objective_(ObjectiveOf(site_.tasks->target_kind())) {
  for (std::size_t i = 0; i < pool.size(); ++i) {
    gradients_.push_back(MakeLegGradients(*leg_, objective_, model_.state, device_));
  }
}

Result<std::vector<Episode>> SiteAdaptation::Draw(v1::Part part, std::uint32_t count) const {
  std::vector<Episode> episodes;
  for (std::uint32_t number = 0; number < count; ++number) {
    FEDMETA_ASSIGN_OR_RETURN(
        Episode episode, DrawEpisode(*leg_, model_.state, site_, part, shots_, number, device_));
    episodes.push_back(std::move(episode));
  }
  return episodes;
}

Result<std::vector<Episode>> SiteAdaptation::Folds(const Episode& episode, std::size_t folds,
                                                   std::size_t repeats) const {
  std::vector<Episode> episodes;
  Rng rng({.seed = model_.assignment.seed(), .purpose = "folds", .client = site_.name});
  for (std::size_t repeat = 0; repeat < repeats; ++repeat) {
    FEDMETA_ASSIGN_OR_RETURN(std::vector<TaskExamples> tasks,
                             CrossValidate(episode.drawn, folds, rng));
    for (TaskExamples& task : tasks) {
      Episode fold = episode;  // starts where the site's adaptation starts
      fold.task = {.support = ToTaskSet(std::move(task.support), device_),
                   .query = ToTaskSet(std::move(task.query), device_)};
      if (leg_->balanced) BalanceClasses(fold.task, objective_.kind());
      fold.drawn = std::move(task);
      episodes.push_back(std::move(fold));
    }
  }
  return episodes;
}

Result<std::vector<std::vector<QueryOutputs>>> SiteAdaptation::Outputs(
    const std::vector<Episode>& episodes, v1::Part part, const std::vector<std::uint32_t>& steps,
    double rate) {
  std::vector<std::vector<QueryOutputs>> outputs(steps.size());
  for (auto& of_steps : outputs) {
    for (const Episode& episode : episodes) {
      of_steps.push_back({.outputs = {},
                          .targets = episode.task.query.targets.cpu(),
                          .groups = episode.drawn.query_groups});
    }
  }
  std::vector<Status> statuses(episodes.size());
  pool_.ForEach(episodes.size(), [&](std::size_t number, std::size_t worker) {
    std::size_t next = 0;
    statuses[number] = Adapt(episodes[number], part, static_cast<std::uint32_t>(number), steps,
                             rate, worker, [&](std::uint32_t, const at::Tensor& parameters) {
                               at::Tensor values =
                                   QueryOutput(episodes[number], parameters, worker);
                               at::Tensor& kept = outputs[next++][number].outputs;
                               if (at::isfinite(values).all().item<bool>())
                                 kept = std::move(values);
                             });
  });
  for (const Status& status : statuses) FEDMETA_RETURN_IF_ERROR(status);
  return outputs;
}

Result<SiteAdaptation::Adapted> SiteAdaptation::Adapt(const Episode& episode, std::uint32_t steps,
                                                      double rate) {
  const auto tensors = leg_->task_model->tensors();
  Adapted adapted{.tensors = {tensors.begin(), tensors.end()}, .values = {}};
  const auto append = [&](const at::Tensor& values) {
    const at::Tensor flat = values.to(at::kCPU, at::kFloat).contiguous();
    adapted.values.insert(adapted.values.end(), flat.data_ptr<float>(),
                          flat.data_ptr<float>() + flat.numel());
  };
  FEDMETA_RETURN_IF_ERROR(Adapt(
      episode, v1::PART_TEST, 0, {steps}, rate, 0, [&](std::uint32_t, const at::Tensor& values) {
        append(values);
        const at::Tensor statistics = QueryStatistics(*leg_, *gradients_[0], episode, values);
        if (!statistics.defined()) return;
        append(statistics);
        const auto specs = leg_->task_model->statistics();
        adapted.tensors.insert(adapted.tensors.end(), specs.begin(), specs.end());
      }));
  if (adapted.values.empty()) {
    return Error(ErrorCode::kInvalidArgument, "adaptation diverged at learning rate " +
                                                  FormatNumber(rate) + ": choose fewer --steps");
  }
  return adapted;
}

Status SiteAdaptation::Adapt(const Episode& episode, v1::Part part, std::uint32_t number,
                             const std::vector<std::uint32_t>& steps, double rate,
                             std::size_t worker, const Visit& visit) const {
  Rng rng = AdaptationStream(*leg_, site_.name, part, shots_, number);
  const LearnContext context{
      .model = *leg_->task_model, .objective = objective_, .pool = nullptr, .device = device_};
  return leg_->learner->Adapt(context, *gradients_[worker], episode.start, episode.task.support,
                              {.steps = steps, .learning_rate = rate, .rng = &rng}, visit);
}

at::Tensor SiteAdaptation::QueryOutput(const Episode& episode, const at::Tensor& parameters,
                                       std::size_t worker) const {
  const TaskGradients& gradients = *gradients_[worker];
  return gradients
      .Outputs(parameters, episode.task.query,
               QueryStatistics(*leg_, gradients, episode, parameters))
      .cpu();
}

at::Tensor Calibrated(const at::Tensor& outputs, const Calibration& calibration) {
  if (!outputs.defined()) return outputs;
  at::Tensor values = outputs / calibration.temperature;
  if (!calibration.intercepts.empty()) {
    values = values + at::tensor(calibration.intercepts, at::TensorOptions(outputs.scalar_type()));
  }
  return values;
}

}  // namespace fedmeta
