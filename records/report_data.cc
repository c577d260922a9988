#include "fedmeta/records/report_data.h"

#include <cmath>
#include <functional>
#include <limits>
#include <set>

#include <nlohmann/json.hpp>

#include "fedmeta/core/file.h"
#include "fedmeta/core/text.h"

namespace fedmeta {
namespace {

using nlohmann::ordered_json;

// The files may have been edited: every access says what it wants and falls back where the key is
// absent or of another kind.
double Number(const ordered_json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_number() ? found->get<double>()
                                                     : std::numeric_limits<double>::quiet_NaN();
}
template <typename T>
T Whole(const ordered_json& object, const char* key) {
  const double value = Number(object, key);
  if (!(value >= 0)) return 0;
  return value < static_cast<double>(std::numeric_limits<T>::max()) ? static_cast<T>(value)
                                                                    : std::numeric_limits<T>::max();
}
std::string Text(const ordered_json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}
bool Flag(const ordered_json& object, const char* key, bool absent) {
  const auto found = object.find(key);
  return found != object.end() && found->is_boolean() ? found->get<bool>() : absent;
}
std::vector<std::string> Names(const ordered_json& object, const char* key) {
  std::vector<std::string> names;
  if (const auto found = object.find(key); found != object.end() && found->is_array())
    for (const ordered_json& name : *found)
      if (name.is_string()) names.push_back(name.get<std::string>());
  return names;
}

/// Nothing where the file does not exist.
Result<std::optional<ordered_json>> ReadJson(const std::filesystem::path& path) {
  const Result<std::string> text = ReadFile(path);
  if (!text.ok() && text.error().code() == ErrorCode::kNotFound)
    return std::optional<ordered_json>();
  if (!text.ok()) return text.error();
  ordered_json value = ordered_json::parse(*text, nullptr, /*allow_exceptions=*/false);
  if (!value.is_object())
    return Error(ErrorCode::kInvalidArgument, path.string() + ": not a JSON object");
  return std::optional<ordered_json>(std::move(value));
}

Status ReadJsonLines(const std::filesystem::path& path,
                     const std::function<void(const ordered_json&)>& take) {
  const Result<std::string> text = ReadFile(path);
  if (!text.ok() && text.error().code() == ErrorCode::kNotFound) return {};
  if (!text.ok()) return text.error();
  std::size_t number = 0;
  for (std::size_t begin = 0; begin < text->size();) {
    const std::size_t end = text->find('\n', begin);
    if (end == std::string::npos) return {};  // still being written
    const ordered_json line = ordered_json::parse(
        text->begin() + static_cast<std::ptrdiff_t>(begin),
        text->begin() + static_cast<std::ptrdiff_t>(end), nullptr, /*allow_exceptions=*/false);
    ++number;
    if (!line.is_object())
      return Error(ErrorCode::kInvalidArgument,
                   path.string() + ":" + std::to_string(number) + ": not a JSON object");
    take(line);
    begin = end + 1;
  }
  return {};
}

void Flatten(const ordered_json& value, const std::string& name,
             std::vector<std::pair<std::string, std::string>>& rows) {
  if (value.is_structured()) {
    for (const auto& [key, child] : value.items())
      Flatten(child, name.empty() ? key : name + "." + key, rows);
  } else {
    rows.emplace_back(name, value.is_string() ? value.get<std::string>() : value.dump());
  }
}

FinalCell ParseCell(const ordered_json& object, bool tuned) {
  FinalCell cell{.shots = Whole<std::uint32_t>(object, "shots"),
                 .steps = Whole<std::uint32_t>(object, "steps"),
                 .learning_rate = Number(object, "learning_rate"),
                 .tuned = tuned,
                 .accuracy_mean = Number(object, "accuracy_mean"),
                 .loss_mean = Number(object, "loss_mean"),
                 .accuracy_std = std::nullopt,
                 .accuracy_worst_decile = std::nullopt,
                 .clients = Whole<std::uint32_t>(object, "clients"),
                 .diverged_share = Number(object, "diverged_share")};
  if (const double value = Number(object, "accuracy_std"); std::isfinite(value))
    cell.accuracy_std = value;
  if (const double value = Number(object, "accuracy_worst_decile"); std::isfinite(value))
    cell.accuracy_worst_decile = value;
  cell.scores = {.auc = Number(object, "auc_mean"),
                 .auc_worst = Number(object, "auc_worst"),
                 .log_loss = Number(object, "log_loss_mean"),
                 .log_loss_worst = Number(object, "loss_worst"),
                 .brier = Number(object, "brier_mean"),
                 .calibration_error = Number(object, "ece")};
  return cell;
}

MethodSummary ParseMethod(const ordered_json& object) {
  MethodSummary method{.method = Text(object, "method"),
                       .leg = Text(object, "leg"),
                       .best_round = Whole<std::uint64_t>(object, "best_round"),
                       .validation_score = Number(object, "validation_score"),
                       .cells = {}};
  if (const auto shots = object.find("final_by_shots"); shots != object.end())
    for (const ordered_json& steps : *shots)
      for (const ordered_json& cell : steps)
        if (cell.is_object()) method.cells.push_back(ParseCell(cell, false));
  if (const auto shots = object.find("tuned_by_shots"); shots != object.end())
    for (const ordered_json& cell : *shots)
      if (cell.is_object()) method.cells.push_back(ParseCell(cell, true));
  return method;
}

std::optional<PrivacySummary> ParsePrivacy(const ordered_json& object) {
  const auto found = object.find("privacy");
  if (found == object.end() || !found->is_object()) return std::nullopt;
  PrivacySummary privacy{.mode = Text(*found, "mode"),
                         .unit = Text(*found, "unit"),
                         .epsilon = {},
                         .delta = Number(*found, "delta"),
                         .clip = Number(*found, "clip"),
                         .noise_multiplier = Number(*found, "noise_multiplier"),
                         .releases = Whole<std::uint64_t>(*found, "releases"),
                         .budget_epsilon = {},
                         .budget_delta = 0,
                         .assumption = Text(*found, "assumption")};
  if (const double epsilon = Number(object, "epsilon"); std::isfinite(epsilon)) {
    privacy.epsilon = epsilon;
  }
  if (const auto budget = found->find("budget"); budget != found->end() && budget->is_object()) {
    privacy.budget_epsilon = Number(*budget, "epsilon");
    privacy.budget_delta = Number(*budget, "delta");
  }
  return privacy;
}

RunSummary ParseSummary(const ordered_json& object) {
  RunSummary summary;
  const std::string status = Text(object, "status");
  for (const RunStatus value :
       {RunStatus::kCompleted, RunStatus::kFailed, RunStatus::kCancelled, RunStatus::kInterrupted,
        RunStatus::kPaused, RunStatus::kBudgetSpent})
    if (RunStatusName(value) == status) summary.status = value;
  summary.reason = Text(object, "reason");
  summary.rounds = Whole<std::uint64_t>(object, "rounds");
  summary.parameters = Whole<std::uint64_t>(object, "parameters");
  summary.reports = Whole<std::uint64_t>(object, "reports");
  summary.dropped = Whole<std::uint64_t>(object, "dropped");
  summary.wall_s = Number(object, "wall_s");
  summary.tested_on_training_sites = Text(object, "tested_on") == "training_sites";
  summary.privacy = ParsePrivacy(object);
  summary.main = ParseMethod(object);
  if (const auto baselines = object.find("baselines"); baselines != object.end())
    for (const ordered_json& baseline : *baselines)
      if (baseline.is_object()) summary.baselines.push_back(ParseMethod(baseline));
  return summary;
}

RoundLineData ParseRound(const ordered_json& line) {
  RoundLineData round;
  round.leg = Text(line, "leg");
  round.reason = Text(line, "reason");
  round.round = Whole<std::uint64_t>(line, "round");
  round.committed = Flag(line, "committed", true);
  round.cohort = Names(line, "cohort");
  round.reported = Names(line, "reported");
  if (const auto dropped = line.find("dropped"); dropped != line.end())
    for (const ordered_json& entry : *dropped)
      if (entry.is_object())
        round.dropped.push_back(
            {Text(entry, "client"), Text(entry, "phase"), Text(entry, "reason")});
  if (const auto sessions = line.find("sessions"); sessions != line.end())
    for (const ordered_json& session : *sessions)
      if (session.is_object() && Flag(session, "opened", false)) {
        const std::size_t members = Names(session, "members").size();
        if (!round.smallest_sum || members < *round.smallest_sum) round.smallest_sum = members;
      }
  round.loss = Number(line, "query_loss");
  round.accuracy = Number(line, "query_accuracy");
  round.bytes_down = Number(line, "bytes_down");
  round.bytes_up = Number(line, "bytes_up");
  round.wall_s = Number(line, "wall_s");
  round.epsilon = Number(line, "epsilon");
  if (const auto parts = line.find("parts"); parts != line.end() && parts->is_object())
    for (const auto& [part, seconds] : parts->items())
      if (seconds.is_number()) round.parts_s[part] = seconds.get<double>();
  return round;
}

EvaluationLineData ParseEvaluation(const ordered_json& line) {
  return {.leg = Text(line, "leg"),
          .client = Text(line, "client"),
          .round = Whole<std::uint64_t>(line, "round"),
          .holdout = Flag(line, "holdout", false),
          .steps = Whole<std::uint32_t>(line, "steps"),
          .shots = Whole<std::uint32_t>(line, "shots"),
          .learning_rate = Number(line, "learning_rate"),
          .loss = Number(line, "loss"),
          .accuracy = Number(line, "accuracy")};
}

}  // namespace

Result<ReportData> ReadReportData(const std::filesystem::path& run_dir,
                                  const std::string& summary_file) {
  ReportData data;
  FEDMETA_ASSIGN_OR_RETURN(const auto manifest, ReadJson(run_dir / "manifest.json"));
  if (!manifest)
    return Error(ErrorCode::kNotFound, run_dir.string() +
                                           ": no run here (manifest.json is "
                                           "missing); name the folder of a run");
  Flatten(*manifest, "", data.manifest);
  data.experiment = Text(*manifest, "experiment");
  if (data.experiment.empty())
    data.experiment = std::filesystem::absolute(run_dir).filename().string();
  data.model = Text(*manifest, "model");
  data.algorithm = Text(*manifest, "algorithm");
  data.classification = Text(*manifest, "objective") != "regression";
  data.shots_of = Text(*manifest, "shots_of");
  if (data.shots_of.empty()) data.shots_of = data.classification ? "class" : "task";
  data.live = Text(*manifest, "mode") == "live";
  data.robust_aggregation = Text(*manifest, "robust_aggregation");
  data.clients = Whole<std::uint32_t>(*manifest, "clients");
  data.holdout_clients = Whole<std::uint32_t>(*manifest, "holdout_clients");
  data.cohort = Whole<std::uint32_t>(*manifest, "cohort");
  data.seed = Whole<std::uint64_t>(*manifest, "seed");
  data.rounds_planned = Whole<std::uint64_t>(*manifest, "rounds");
  data.parameters = Whole<std::uint64_t>(*manifest, "parameters");
  if (Result<std::string> yaml = ReadFile(run_dir / "experiment.yaml"); yaml.ok())
    data.experiment_yaml = std::move(yaml).value();

  FEDMETA_ASSIGN_OR_RETURN(const auto summary, ReadJson(run_dir / summary_file));
  std::set<std::pair<std::string, std::uint64_t>> chosen;
  if (summary) {
    data.summary = ParseSummary(*summary);
    data.main_leg = data.summary->main.leg;
    chosen.insert({data.main_leg, data.summary->main.best_round});
    for (const MethodSummary& baseline : data.summary->baselines)
      chosen.insert({baseline.leg, baseline.best_round});
  }
  FEDMETA_RETURN_IF_ERROR(ReadJsonLines(run_dir / "rounds.jsonl", [&](const ordered_json& line) {
    data.rounds.push_back(ParseRound(line));
  }));
  if (data.main_leg.empty() && !data.rounds.empty()) data.main_leg = data.rounds.front().leg;
  FEDMETA_RETURN_IF_ERROR(
      ReadJsonLines(run_dir / "evaluation.jsonl", [&](const ordered_json& line) {
        EvaluationLineData evaluation = ParseEvaluation(line);
        if (evaluation.client.empty() ||
            (evaluation.holdout && chosen.contains({evaluation.leg, evaluation.round})))
          data.evaluations.push_back(std::move(evaluation));
      }));
  return data;
}

}  // namespace fedmeta
