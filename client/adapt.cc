#include "fedmeta/client/adapt.h"

#include <algorithm>
#include <cmath>
#include <set>

#include <ATen/ATen.h>
#include <google/protobuf/util/json_util.h>
#include <nlohmann/json.hpp>

#include "fedmeta/client/evaluator.h"
#include "fedmeta/client/task_source.h"
#include "fedmeta/core/text.h"
#include "fedmeta/protocol/limits.h"
#include "fedmeta/records/safetensors.h"

namespace fedmeta {
namespace {

constexpr int kBootstrapDraws = 2000;

// What an interval is taken over: an episode, or one query example of a site that is a single task.
struct Unit {
  double accuracy = 0, loss = 0;
};

struct Interval {
  double mean = 0, low = 0, high = 0;
};

Interval Bootstrap(std::span<const double> values, Rng& rng) {
  if (values.empty()) return {};
  const auto mean_of = [&](auto&& pick) {
    double sum = 0;
    for (std::size_t i = 0; i < values.size(); ++i) sum += pick(i);
    return sum / static_cast<double>(values.size());
  };
  std::vector<double> means(kBootstrapDraws);
  for (double& mean : means) {
    mean = mean_of([&](std::size_t) { return values[rng.Below(values.size())]; });
  }
  std::sort(means.begin(), means.end());
  return {.mean = mean_of([&](std::size_t i) { return values[i]; }),
          .low = means[kBootstrapDraws * 25 / 1000],
          .high = means[kBootstrapDraws * 975 / 1000]};
}

AdaptFigure Summarise(std::uint32_t steps, double rate,
                      const std::vector<std::optional<std::vector<Unit>>>& episodes,
                      std::uint64_t seed) {
  AdaptFigure figure{.steps = steps, .learning_rate = rate};
  std::vector<double> accuracies;
  std::vector<double> losses;
  for (const auto& units : episodes) {
    if (!units) {
      ++figure.diverged;
      continue;
    }
    for (const Unit& unit : *units) {
      accuracies.push_back(unit.accuracy);
      losses.push_back(unit.loss);
    }
  }
  Rng rng(StreamName{.seed = seed, .purpose = "bootstrap"});
  const Interval accuracy = Bootstrap(accuracies, rng);
  const Interval loss = Bootstrap(losses, rng);
  figure.accuracy = accuracy.mean;
  figure.accuracy_low = accuracy.low;
  figure.accuracy_high = accuracy.high;
  figure.loss = loss.mean;
  figure.loss_low = loss.low;
  figure.loss_high = loss.high;
  return figure;
}

class SiteAdaptation {
 public:
  SiteAdaptation(const TrainedModel& model, std::shared_ptr<const LegRuntime> leg, LocalClient site,
                 std::uint32_t shots, WorkerPool& pool)
      : model_(model),
        leg_(std::move(leg)),
        site_(std::move(site)),
        shots_(shots),
        pool_(pool),
        device_(model.assignment.device().empty() ? "cpu" : model.assignment.device()),
        objective_(ObjectiveOf(site_.tasks->target_kind())) {
    for (std::size_t i = 0; i < pool.size(); ++i) {
      gradients_.push_back(MakeLegGradients(*leg_, objective_, model_.state, device_));
    }
  }

  // Figures at each step count for one rate, over `count` episodes of a part.
  Result<std::vector<AdaptFigure>> Measure(v1::Part part, const std::vector<std::uint32_t>& steps,
                                           double rate, std::uint32_t count) {
    std::vector<Episode> episodes;
    for (std::uint32_t number = 0; number < count; ++number) {
      FEDMETA_ASSIGN_OR_RETURN(
          Episode episode, DrawEpisode(*leg_, model_.state, site_, part, shots_, number, device_));
      episodes.push_back(std::move(episode));
    }
    std::vector<std::vector<std::optional<std::vector<Unit>>>> units(
        steps.size(), std::vector<std::optional<std::vector<Unit>>>(count));
    std::vector<Status> statuses(count);
    pool_.ForEach(count, [&](std::size_t number, std::size_t worker) {
      std::size_t next = 0;
      statuses[number] = Adapt(part, static_cast<std::uint32_t>(number), episodes[number], steps,
                               rate, worker, [&](std::uint32_t, const at::Tensor& parameters) {
                                 units[next++][number] =
                                     MeasureUnits(parameters, episodes[number], count == 1, worker);
                               });
    });
    for (const Status& status : statuses) FEDMETA_RETURN_IF_ERROR(status);
    std::vector<AdaptFigure> figures;
    for (std::size_t i = 0; i < steps.size(); ++i)
      figures.push_back(Summarise(steps[i], rate, units[i], model_.assignment.seed()));
    return figures;
  }

  // The model to take away: adapted on the first support set.
  Status Export(std::uint32_t steps, double rate, AdaptedSite& result) {
    FEDMETA_ASSIGN_OR_RETURN(Episode episode, DrawEpisode(*leg_, model_.state, site_, v1::PART_TEST,
                                                          shots_, 0, device_));
    const auto tensors = leg_->task_model->tensors();
    result.outputs = tensors.back().shape.front();
    result.tensors.assign(tensors.begin(), tensors.end());
    result.codes = episode.codes;
    const auto append = [&](const at::Tensor& values) {
      const at::Tensor flat = values.to(at::kCPU, at::kFloat).contiguous();
      result.parameters.insert(result.parameters.end(), flat.data_ptr<float>(),
                               flat.data_ptr<float>() + flat.numel());
    };
    FEDMETA_RETURN_IF_ERROR(Adapt(
        v1::PART_TEST, 0, episode, {steps}, rate, 0,
        [&](std::uint32_t, const at::Tensor& parameters) {
          append(parameters);
          const at::Tensor statistics = QueryStatistics(*leg_, *gradients_[0], episode, parameters);
          if (!statistics.defined()) return;
          append(statistics);
          const auto specs = leg_->task_model->statistics();
          result.tensors.insert(result.tensors.end(), specs.begin(), specs.end());
        }));
    if (result.parameters.empty()) {
      return Error(ErrorCode::kInvalidArgument, "adaptation diverged at learning rate " +
                                                    FormatNumber(rate) + ": choose fewer --steps");
    }
    return {};
  }

 private:
  template <typename Visit>
  Status Adapt(v1::Part part, std::uint32_t number, const Episode& episode,
               const std::vector<std::uint32_t>& steps, double rate, std::size_t worker,
               const Visit& visit) {
    Rng rng = AdaptationStream(*leg_, site_.name, part, shots_, number);
    const LearnContext context{
        .model = *leg_->task_model, .objective = objective_, .pool = nullptr, .device = device_};
    return leg_->learner->Adapt(context, *gradients_[worker], episode.start, episode.task.support,
                                {.steps = steps, .learning_rate = rate, .rng = &rng}, visit);
  }

  std::vector<Unit> MeasureUnits(const at::Tensor& parameters, const Episode& episode,
                                 bool by_example, std::size_t worker) const {
    const Model& model = *leg_->task_model;
    const TaskSet& query = episode.task.query;
    const at::Tensor statistics = QueryStatistics(*leg_, *gradients_[worker], episode, parameters);
    if (!by_example) {
      const MetricSums sums = gradients_[worker]->Measure(parameters, query, statistics);
      return {{.accuracy = sums.correct / sums.examples, .loss = sums.query_loss / sums.examples}};
    }
    const std::vector<at::Tensor> given =
        statistics.defined() ? SplitStatistics(model, statistics) : std::vector<at::Tensor>();
    const at::Tensor outputs = model.Forward(SplitParameters(model, parameters),
                                             {.inputs = query.inputs, .statistics = given});
    std::vector<Unit> units;
    for (std::int64_t i = 0; i < query.size(); ++i) {
      const MetricSums sums =
          objective_.Measure(outputs.narrow(0, i, 1), query.targets.narrow(0, i, 1));
      units.push_back({.accuracy = sums.correct, .loss = sums.query_loss});
    }
    return units;
  }

  const TrainedModel& model_;
  const std::shared_ptr<const LegRuntime> leg_;
  const LocalClient site_;
  const std::uint32_t shots_;
  WorkerPool& pool_;
  const at::Device device_;
  const Objective objective_;
  std::vector<std::unique_ptr<TaskGradients>> gradients_;
};

// The tuned entry for these shots, else for the nearest number of shots.
const TunedAdaptation* FindTuned(const TrainedModel& model, std::uint32_t shots) {
  const TunedAdaptation* best = nullptr;
  std::uint32_t distance = UINT32_MAX;
  for (const auto& [known, tuned] : model.tuned) {
    const std::uint32_t difference = known > shots ? known - shots : shots - known;
    if (difference < distance) {
      distance = difference;
      best = &tuned;
    }
  }
  return best;
}

// Over steps and rates on the validation part; step 0 stays unless something is better.
Result<AdaptFigure> ChooseOnValidation(SiteAdaptation& adaptation, const TunedAdaptation& tuned,
                                       const std::vector<std::uint32_t>& steps) {
  std::set<double> rates = {tuned.learning_rate};
  for (const auto& [count, rate] : tuned.rate_of_steps) rates.insert(rate);
  std::optional<AdaptFigure> best;
  for (const double rate : rates) {
    FEDMETA_ASSIGN_OR_RETURN(const std::vector<AdaptFigure> figures,
                             adaptation.Measure(v1::PART_VALIDATION, steps, rate, 1));
    for (const AdaptFigure& figure : figures) {
      if (figure.diverged == 0 && (!best || figure.loss < best->loss)) best = figure;
    }
  }
  if (!best)
    return Error(ErrorCode::kInvalidArgument,
                 "every step count and rate diverges on the validation rows, also 0 steps");
  return *best;
}

std::optional<std::uint32_t> ParseCount(const std::string& text, std::uint32_t maximum) {
  const auto number = ParseNumber(text);
  if (!number || !(*number >= 0) || *number > maximum || *number != std::floor(*number))
    return std::nullopt;
  return static_cast<std::uint32_t>(*number);
}

std::optional<double> ParseRate(const nlohmann::json& value) {
  if (!value.is_number()) return std::nullopt;
  const double rate = value.get<double>();
  if (!std::isfinite(rate) || rate <= 0) return std::nullopt;
  return rate;
}

// What the coordinator writes; nothing for any other text.
std::optional<std::map<std::uint32_t, TunedAdaptation>> ParseTuned(const std::string& text) {
  const nlohmann::json json = nlohmann::json::parse(text, nullptr, false);
  if (!json.is_object()) return std::nullopt;
  std::map<std::uint32_t, TunedAdaptation> tuned;
  for (const auto& [shots, entry] : json.items()) {
    const auto count = ParseCount(shots, UINT32_MAX);
    if (!count || !entry.is_object()) return std::nullopt;
    const auto rate = ParseRate(entry.value("learning_rate", nlohmann::json()));
    const auto steps =
        ParseCount(entry.value("steps", nlohmann::json()).dump(), kMaximumEvaluationSteps);
    const nlohmann::json by_steps = entry.value("by_steps", nlohmann::json::object());
    if (!rate || !steps || !by_steps.is_object()) return std::nullopt;
    TunedAdaptation& adaptation = tuned[*count];
    adaptation.learning_rate = *rate;
    adaptation.steps = *steps;
    for (const auto& [step, value] : by_steps.items()) {
      const auto step_count = ParseCount(step, kMaximumEvaluationSteps);
      const auto step_rate = ParseRate(value);
      if (!step_count || !step_rate) return std::nullopt;
      adaptation.rate_of_steps[*step_count] = *step_rate;
    }
  }
  return tuned;
}

}  // namespace

Result<TrainedModel> LoadTrainedModel(const std::filesystem::path& file) {
  FEDMETA_ASSIGN_OR_RETURN(const SafeTensors stored, ReadSafeTensors(file));
  const auto refused = [&](const std::string& what) {
    return Error(ErrorCode::kInvalidArgument,
                 file.string() + ": " + what + "; give a checkpoint that fedmeta wrote");
  };
  const auto text = [&](const char* key) {
    const auto found = stored.metadata.find(key);
    return found == stored.metadata.end() ? std::string() : found->second;
  };
  TrainedModel model;
  model.method = text("method");
  if (!google::protobuf::util::JsonStringToMessage(text("assignment"), &model.assignment).ok())
    return refused("metadata 'assignment' is missing or not valid");
  const Result<StateLayout> parsed = StateLayout::Parse(text("layout"));
  if (!parsed.ok()) return refused("metadata 'layout': " + parsed.error().message());
  const StateLayout& layout = *parsed;
  for (const Segment& segment : layout.segments()) {
    for (const TensorSpec& tensor : segment.tensors) {
      const NamedTensor* found = stored.Find(tensor.name);
      if (found == nullptr || found->shape != tensor.shape)
        return refused("tensor '" + tensor.name + "' is missing or of another shape");
      model.state.insert(model.state.end(), found->values.begin(), found->values.end());
    }
  }
  if (stored.metadata.contains("tuned")) {
    auto tuned = ParseTuned(text("tuned"));
    if (!tuned) return refused("metadata 'tuned' is not valid");
    model.tuned = *std::move(tuned);
  }
  return model;
}

Result<AdaptedSite> AdaptToSite(const TrainedModel& model, const LearnRegistries& registries,
                                const SiteSource& site, const std::string& site_name,
                                const AdaptRequest& request, WorkerPool& pool) {
  FEDMETA_ASSIGN_OR_RETURN(const OpenedSource source,
                           ReadTable(site.source, model.assignment.dictionary()));
  std::optional<DatasetView> view;
  if (source.dataset) view = WholeView(source.dataset);
  FEDMETA_ASSIGN_OR_RETURN(
      const auto tasks,
      MakeTaskGenerator(registries.data, model.assignment.tasks(), source, view ? &*view : nullptr,
                        site_name, model.assignment.seed()));
  FEDMETA_RETURN_IF_ERROR(tasks->CanDraw(DataPart::kTest, request.shots));
  FEDMETA_ASSIGN_OR_RETURN(
      auto leg, LegRuntime::Create(registries, model.assignment.SerializeAsString(), *tasks));
  if (model.state.size() != leg->layout.size())
    return Error(ErrorCode::kInvalidArgument, "the checkpoint's state does not fit its layout");

  const TunedAdaptation fallback{
      .learning_rate = leg->learner->default_adaptation_rate(), .steps = 1, .rate_of_steps = {}};
  const TunedAdaptation* found = FindTuned(model, request.shots);
  const TunedAdaptation& tuned = found != nullptr ? *found : fallback;
  // A site that is a single task has one division of its rows; drawing it again would count the
  // same examples twice.
  const bool single_task = !tasks->relabels() && tasks->examples() > 0;
  const std::uint32_t episodes = single_task ? 1 : request.episodes;
  SiteAdaptation adaptation(model, leg, {.name = site_name, .tasks = tasks.get()}, request.shots,
                            pool);

  AdaptedSite result;
  result.method = model.method;
  result.shots = request.shots;
  result.episodes = episodes;
  result.classifies = tasks->target_kind() != TargetKind::kReal;
  std::map<std::uint32_t, double> rate_of_steps = tuned.rate_of_steps;
  rate_of_steps.emplace(0, tuned.learning_rate);
  rate_of_steps.emplace(tuned.steps, tuned.learning_rate);
  if (request.steps) rate_of_steps.emplace(*request.steps, tuned.learning_rate);
  std::vector<std::uint32_t> steps;
  std::map<double, std::vector<std::uint32_t>> steps_of_rate;
  for (const auto& [count, rate] : rate_of_steps) {
    steps.push_back(count);
    steps_of_rate[rate].push_back(count);
  }
  for (const auto& [rate, counts] : steps_of_rate) {
    FEDMETA_ASSIGN_OR_RETURN(std::vector<AdaptFigure> figures,
                             adaptation.Measure(v1::PART_TEST, counts, rate, episodes));
    result.figures.insert(result.figures.end(), figures.begin(), figures.end());
  }
  std::sort(result.figures.begin(), result.figures.end(),
            [](const AdaptFigure& a, const AdaptFigure& b) { return a.steps < b.steps; });

  std::uint32_t chosen_steps = tuned.steps;
  double chosen_rate = tuned.learning_rate;
  if (request.steps) {
    chosen_steps = *request.steps;
    chosen_rate = rate_of_steps.at(chosen_steps);
    result.choice = "as asked with --steps";
  } else if (single_task && tasks->CanDraw(DataPart::kValidation, request.shots).ok()) {
    FEDMETA_ASSIGN_OR_RETURN(const AdaptFigure best, ChooseOnValidation(adaptation, tuned, steps));
    chosen_steps = best.steps;
    chosen_rate = best.learning_rate;
    result.choice = "chosen on this site's validation rows";
  } else {
    result.choice = found != nullptr
                        ? "tuned on the training sites, travelled with the model"
                        : "the algorithm's defaults: the checkpoint carries no tuned settings";
  }
  FEDMETA_ASSIGN_OR_RETURN(
      const std::vector<AdaptFigure> chosen,
      adaptation.Measure(v1::PART_TEST, {chosen_steps}, chosen_rate, episodes));
  result.chosen = chosen.front();
  FEDMETA_RETURN_IF_ERROR(adaptation.Export(chosen_steps, chosen_rate, result));
  return result;
}

}  // namespace fedmeta
