#include "fedmeta/client/adapt.h"

#include <algorithm>
#include <map>
#include <set>

#include <ATen/ATen.h>
#include <google/protobuf/util/json_util.h>
#include <nlohmann/json.hpp>

#include "fedmeta/client/scorer.h"
#include "fedmeta/client/site_adaptation.h"
#include "fedmeta/core/text.h"

namespace fedmeta {
namespace {

constexpr std::size_t kFolds = 5;
constexpr std::size_t kRepeats =
    3;  // of the folds: a choice among few rows hangs on their division
constexpr std::int64_t kEnoughValidationRows = 20;

struct Choice {
  std::uint32_t steps = 0;
  double rate = 0;
  std::string how;
};

/// The step counts and rates that are tried, and at which rate each step count is reported.
struct Candidates {
  std::vector<std::uint32_t> steps;  // ascending, 0 first
  std::set<double> rates;
  std::map<std::uint32_t, double> rate_of_steps;
};

Candidates MakeCandidates(const TunedAdaptation& tuned, const AdaptRequest& request) {
  Candidates candidates;
  candidates.rate_of_steps = tuned.rate_of_steps;
  candidates.rate_of_steps.emplace(0, tuned.learning_rate);
  candidates.rate_of_steps.emplace(tuned.steps, tuned.learning_rate);
  if (request.steps) candidates.rate_of_steps.emplace(*request.steps, tuned.learning_rate);
  candidates.rates.insert(tuned.learning_rate);
  for (const auto& [count, rate] : candidates.rate_of_steps) {
    candidates.steps.push_back(count);
    candidates.rates.insert(rate);
  }
  return candidates;
}

/// The least loss over the query sets of all episodes; step 0 stays unless something is better.
/// Where an episode diverges, so does the setting.
Result<Choice> ChooseByLoss(SiteAdaptation& adaptation, const std::vector<Episode>& episodes,
                            v1::Part part, const Candidates& candidates) {
  Choice best;
  std::optional<double> least;
  for (const double rate : candidates.rates) {
    FEDMETA_ASSIGN_OR_RETURN(const auto outputs,
                             adaptation.Outputs(episodes, part, candidates.steps, rate));
    for (std::size_t i = 0; i < outputs.size(); ++i) {
      MetricSums sums;
      bool diverged = false;
      for (const QueryOutputs& each : outputs[i]) {
        diverged = diverged || !each.outputs.defined();
        if (!diverged) sums.Add(adaptation.objective().Evaluate(each.outputs, each.targets));
      }
      if (diverged || (least && !(sums.query_loss < *least))) continue;
      least = sums.query_loss;
      best = {.steps = candidates.steps[i], .rate = rate, .how = ""};
    }
  }
  if (!least) {
    return Error(ErrorCode::kInvalidArgument,
                 "every step count and rate diverges on the rows to choose by, also 0 steps");
  }
  return best;
}

/// Predictions for support rows by models that had not seen them.
Result<HeldOutOutputs> PredictFolds(SiteAdaptation& adaptation, const std::vector<Episode>& folds,
                                    const Choice& choice) {
  FEDMETA_ASSIGN_OR_RETURN(const auto outputs, adaptation.Outputs(folds, v1::PART_VALIDATION,
                                                                  {choice.steps}, choice.rate));
  HeldOutOutputs held_out;
  for (std::size_t fold = 0; fold < folds.size(); ++fold) {
    const QueryOutputs& each = outputs.front()[fold];
    if (!each.outputs.defined()) return HeldOutOutputs();
    const at::Tensor values = each.outputs.to(at::kDouble).contiguous();
    const at::Tensor labels = each.targets.contiguous();
    held_out.outputs = static_cast<std::size_t>(values.size(1));
    held_out.values.insert(held_out.values.end(), values.data_ptr<double>(),
                           values.data_ptr<double>() + values.numel());
    held_out.labels.insert(held_out.labels.end(), labels.data_ptr<std::int64_t>(),
                           labels.data_ptr<std::int64_t>() + labels.numel());
    held_out.fold.resize(held_out.labels.size(), fold);
  }
  return held_out;
}

/// What each output is called: a level of the dictionary, or the site's code of a class.
std::vector<std::string> NamesOfOutputs(const AdaptedSite& site, const v1::Dictionary& dictionary) {
  std::vector<std::string> names;
  for (std::int64_t output = 0; site.classifies && output < site.outputs; ++output) {
    const std::int64_t code =
        site.codes.empty() ? output : site.codes[static_cast<std::size_t>(output)];
    names.push_back(code < dictionary.label().levels_size()
                        ? dictionary.label().levels(static_cast<int>(code))
                        : std::to_string(code));
  }
  return names;
}

/// What a program needs that scores with the model.
std::string Description(const TrainedModel& model, const AdaptedSite& site) {
  v1::Assignment assignment = model.assignment;
  assignment.set_outputs(static_cast<std::uint32_t>(site.outputs));
  std::string json;
  const bool known = google::protobuf::util::MessageToJsonString(assignment, &json).ok();
  return nlohmann::json({{"method", site.method},
                         {"assignment", known ? nlohmann::json::parse(json) : nlohmann::json()},
                         {"steps", site.chosen.steps},
                         {"learning_rate", site.chosen.learning_rate},
                         {"temperature", site.calibration.temperature},
                         {"intercepts", site.calibration.intercepts},
                         {"codes", site.codes},
                         {"labels", site.labels}})
      .dump();
}

/// One site's way from a trained model to its own.
class SiteCourse {
 public:
  SiteCourse(const TrainedModel& model, std::shared_ptr<const LegRuntime> leg, TaskGenerator& tasks,
             const std::string& site_name, const AdaptRequest& request, WorkerPool& pool)
      : model_(model),
        request_(request),
        leg_(leg),
        tasks_(tasks),
        // Such a site asks about the same rows in every draw: what it is measured on is one task,
        // and drawing it again would count the same examples twice.
        own_labels_(!tasks.relabels() && tasks.examples() > 0),
        adaptation_(model, leg, {.name = site_name, .tasks = &tasks}, request.shots, pool),
        found_(FindTuned(model, request.shots)),
        tuned_(found_ != nullptr ? *found_ : Fallback()),
        candidates_(MakeCandidates(tuned_, request)) {}

  Result<AdaptedSite> Run() {
    AdaptedSite site;
    site.method = model_.method;
    site.shots = request_.shots;
    site.episodes = own_labels_ ? 1 : request_.episodes;
    site.classifies = adaptation_.objective().kind() != ObjectiveKind::kMeanSquaredError;
    FEDMETA_ASSIGN_OR_RETURN(const std::vector<Episode> test,
                             adaptation_.Draw(v1::PART_TEST, site.episodes));
    if (own_labels_) {
      FEDMETA_ASSIGN_OR_RETURN(folds_, adaptation_.Folds(test.front(), kFolds, kRepeats));
    }
    FEDMETA_ASSIGN_OR_RETURN(const Choice choice, Choose(site));
    site.choice = choice.how;
    FEDMETA_RETURN_IF_ERROR(Calibrate(choice, site));
    FEDMETA_RETURN_IF_ERROR(Measure(test, choice, site));
    FEDMETA_RETURN_IF_ERROR(Export(test.front(), choice, site));
    CountRows(test.front(), site);
    return site;
  }

 private:
  TunedAdaptation Fallback() const {
    TunedAdaptation fallback{
        .learning_rate = leg_->learner->default_adaptation_rate(), .steps = 1, .rate_of_steps = {}};
    if (own_labels_) {
      for (const std::uint32_t steps : {5U, 10U})
        fallback.rate_of_steps.emplace(steps, fallback.learning_rate);
    }
    return fallback;
  }

  Result<Choice> Choose(AdaptedSite& site) {
    if (request_.steps) {
      return Choice{.steps = *request_.steps,
                    .rate = candidates_.rate_of_steps.at(*request_.steps),
                    .how = "as asked with --steps"};
    }
    if (own_labels_ && tasks_.validation_examples() > 0) {
      FEDMETA_ASSIGN_OR_RETURN(const std::vector<Episode> validation,
                               adaptation_.Draw(v1::PART_VALIDATION, 1));
      site.rows.validation = static_cast<std::uint64_t>(validation.front().task.query.size());
      if (validation.front().task.query.size() >= kEnoughValidationRows) {
        FEDMETA_ASSIGN_OR_RETURN(
            Choice choice, ChooseByLoss(adaptation_, validation, v1::PART_VALIDATION, candidates_));
        choice.how = "chosen on this site's validation rows";
        return choice;
      }
    }
    if (!folds_.empty()) {
      FEDMETA_ASSIGN_OR_RETURN(Choice choice,
                               ChooseByLoss(adaptation_, folds_, v1::PART_VALIDATION, candidates_));
      choice.how = "chosen by cross-validation on the support rows, because there are fewer than " +
                   std::to_string(kEnoughValidationRows) + " validation rows";
      return choice;
    }
    return Choice{
        .steps = tuned_.steps,
        .rate = tuned_.learning_rate,
        .how = found_ != nullptr
                   ? "tuned on the training sites, travelled with the model"
                   : "the algorithm's defaults: the checkpoint carries no tuned settings"};
  }

  Status Calibrate(const Choice& choice, AdaptedSite& site) {
    if (!request_.calibrate || !site.classifies || !own_labels_ || folds_.empty()) {
      site.calibration_reason = !request_.calibrate ? "none, as asked with --no-calibration"
                                : site.classifies   ? "none: no support rows can be held out for it"
                                                    : "none: not a classifier";
      return {};
    }
    // The repeats would count every row again.
    const std::vector<Episode> once(
        folds_.begin(), folds_.begin() + static_cast<std::ptrdiff_t>(folds_.size() / kRepeats));
    FEDMETA_ASSIGN_OR_RETURN(const HeldOutOutputs held_out,
                             PredictFolds(adaptation_, once, choice));
    site.calibration = FitCalibration(held_out, site.calibration_reason);
    return {};
  }

  /// Every step count at its rate, and what was chosen.
  Status Measure(const std::vector<Episode>& test, const Choice& choice, AdaptedSite& site) {
    const auto summarise = [&](const std::vector<QueryOutputs>& outputs, std::uint32_t steps,
                               double rate) {
      AdaptFigure figure = Summarise(adaptation_.objective(), outputs, model_.assignment.seed());
      figure.steps = steps;
      figure.learning_rate = rate;
      return figure;
    };
    std::map<double, std::vector<std::uint32_t>> steps_of_rate;
    for (const auto& [steps, rate] : candidates_.rate_of_steps)
      steps_of_rate[rate].push_back(steps);
    for (const auto& [rate, steps] : steps_of_rate) {
      FEDMETA_ASSIGN_OR_RETURN(const auto outputs,
                               adaptation_.Outputs(test, v1::PART_TEST, steps, rate));
      for (std::size_t i = 0; i < steps.size(); ++i)
        site.figures.push_back(summarise(outputs[i], steps[i], rate));
    }
    std::sort(site.figures.begin(), site.figures.end(),
              [](const AdaptFigure& a, const AdaptFigure& b) { return a.steps < b.steps; });
    FEDMETA_ASSIGN_OR_RETURN(auto chosen,
                             adaptation_.Outputs(test, v1::PART_TEST, {choice.steps}, choice.rate));
    for (QueryOutputs& each : chosen.front())
      each.outputs = Calibrated(each.outputs, site.calibration);
    site.chosen = summarise(chosen.front(), choice.steps, choice.rate);
    return {};
  }

  Status Export(const Episode& episode, const Choice& choice, AdaptedSite& site) {
    FEDMETA_ASSIGN_OR_RETURN(SiteAdaptation::Adapted adapted,
                             adaptation_.Adapt(episode, choice.steps, choice.rate));
    site.tensors = std::move(adapted.tensors);
    site.parameters = std::move(adapted.values);
    site.outputs = leg_->task_model->tensors().back().shape.front();
    site.codes = episode.codes;
    site.labels = NamesOfOutputs(site, model_.assignment.dictionary());
    const auto& shape = model_.assignment.input_shape();
    FEDMETA_ASSIGN_OR_RETURN(
        site.scorer,
        MakeScorer({.model = *leg_->task_model,
                    .tensors = site.tensors,
                    .values = site.parameters,
                    .example_shape = {shape.begin(), shape.end()},
                    .dictionary = model_.assignment.dictionary(),
                    .encodings = episode.drawn.dataset ? episode.drawn.dataset->encodings()
                                                       : std::span<const NumberEncoding>(),
                    .classifies = site.classifies,
                    .calibration = site.calibration,
                    .labels = site.labels,
                    .description = Description(model_, site)}));
    return {};
  }

  static void CountRows(const Episode& episode, AdaptedSite& site) {
    site.rows.support = static_cast<std::uint64_t>(episode.task.support.size());
    site.rows.query = static_cast<std::uint64_t>(episode.task.query.size());
    for (const std::string& label : site.labels) site.rows.support_labels.emplace_back(label, 0);
    for (const TaskRow& each : episode.drawn.support_rows)
      ++site.rows.support_labels[static_cast<std::size_t>(each.label)].second;
  }

  const TrainedModel& model_;
  const AdaptRequest& request_;
  const std::shared_ptr<const LegRuntime> leg_;
  TaskGenerator& tasks_;
  const bool own_labels_;
  SiteAdaptation adaptation_;
  const TunedAdaptation* found_;
  const TunedAdaptation tuned_;
  const Candidates candidates_;
  std::vector<Episode> folds_;
};

}  // namespace

Result<AdaptedSite> AdaptToSite(const TrainedModel& model, const LearnRegistries& registries,
                                const OpenedSource& source, const std::string& site_name,
                                const AdaptRequest& request, WorkerPool& pool) {
  FEDMETA_ASSIGN_OR_RETURN(const auto tasks,
                           MakeTaskGenerator(registries.data, model.assignment.tasks(), source,
                                             /*view=*/nullptr, site_name, model.assignment.seed()));
  FEDMETA_RETURN_IF_ERROR(tasks->CanDraw(DataPart::kTest, request.shots));
  FEDMETA_ASSIGN_OR_RETURN(
      auto leg, LegRuntime::Create(registries, model.assignment.SerializeAsString(), *tasks));
  if (model.state.size() != leg->layout.size())
    return Error(ErrorCode::kInvalidArgument, "the checkpoint's state does not fit its layout");
  return SiteCourse(model, leg, *tasks, site_name, request, pool).Run();
}

}  // namespace fedmeta
