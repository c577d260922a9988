#include "fedmeta/records/record_text.h"

#include <algorithm>
#include <cmath>

#include <nlohmann/json.hpp>

#include "fedmeta/core/text.h"
#include "fedmeta/records/scores.h"

namespace fedmeta {
namespace {

// Keeps the order of insertion: files read like the contract. Dumps numbers that are not finite as
// null.
using nlohmann::ordered_json;

constexpr char kTooFewClients[] = "fewer than 10 disclosing clients";

/// Names of sites and reasons are text from outside: what is not UTF-8 is replaced, not thrown on.
std::string Dump(const ordered_json& value, int indent = -1) {
  return value.dump(indent, ' ', false, ordered_json::error_handler_t::replace);
}

std::uint64_t Count(double sum) {
  return sum > 0 ? static_cast<std::uint64_t>(std::llround(sum)) : 0;
}

ordered_json CellObject(const FinalCell& cell, bool classification) {
  ordered_json object;
  object["shots"] = cell.shots;
  object["steps"] = cell.steps;
  object["learning_rate"] = cell.learning_rate;
  if (classification) {
    object["accuracy_mean"] = cell.accuracy_mean;
    object["accuracy_std"] = nullptr;
    if (cell.accuracy_std) object["accuracy_std"] = *cell.accuracy_std;
    object["accuracy_worst_decile"] = nullptr;
    if (cell.accuracy_worst_decile) {
      object["accuracy_worst_decile"] = *cell.accuracy_worst_decile;
    } else {
      object["accuracy_worst_decile_reason"] = kTooFewClients;
    }
  }
  object["loss_mean"] = cell.loss_mean;
  AddFinalScores(object, cell, classification);
  object["clients"] = cell.clients;
  object["diverged_share"] = cell.diverged_share;
  return object;
}

/// Adds the figures of one method: the first shots under `final` and `tuned`, all of them by shots.
void AddMethod(ordered_json& object, const MethodSummary& method, bool classification) {
  object["method"] = method.method;
  object["leg"] = method.leg;
  object["best_round"] = method.best_round;
  object["validation_score"] = method.validation_score;
  ordered_json by_shots = ordered_json::object(), tuned_by_shots = ordered_json::object();
  for (const FinalCell& cell : method.cells) {
    const std::string shots = std::to_string(cell.shots);
    ordered_json value = CellObject(cell, classification);
    if (cell.tuned) {
      tuned_by_shots[shots] = std::move(value);
    } else {
      by_shots[shots][std::to_string(cell.steps)] = std::move(value);
    }
  }
  const std::string first =
      method.cells.empty() ? std::string() : std::to_string(method.cells.front().shots);
  object["final"] = by_shots.contains(first) ? by_shots[first] : ordered_json::object();
  if (tuned_by_shots.contains(first)) object["tuned"] = tuned_by_shots[first];
  object["final_by_shots"] = std::move(by_shots);
  object["tuned_by_shots"] = std::move(tuned_by_shots);
}

/// `epsilon` itself at the top, as scripts want it.
void AddPrivacy(ordered_json& object, const PrivacySummary& privacy) {
  object["epsilon"] = nullptr;
  if (privacy.epsilon) object["epsilon"] = *privacy.epsilon;
  ordered_json& details = object["privacy"];
  details["mode"] = privacy.mode;
  details["unit"] = privacy.unit;
  details["delta"] = privacy.delta;
  details["clip"] = privacy.clip;
  details["noise_multiplier"] = privacy.noise_multiplier;
  if (privacy.epsilon) details["releases"] = privacy.releases;
  if (privacy.budget_epsilon) {
    details["budget"] = {{"epsilon", *privacy.budget_epsilon}, {"delta", privacy.budget_delta}};
  }
  details["assumption"] = privacy.assumption;
}

/// The main method against a baseline, by shots, at what validation chose for each.
ordered_json CompareMethods(const MethodSummary& main, const MethodSummary& baseline,
                            bool classification) {
  ordered_json by_shots = ordered_json::object();
  for (const FinalCell& cell : main.cells) {
    const auto other =
        std::find_if(baseline.cells.begin(), baseline.cells.end(),
                     [&](const FinalCell& its) { return its.tuned && its.shots == cell.shots; });
    if (!cell.tuned || other == baseline.cells.end()) continue;
    by_shots[std::to_string(cell.shots)] = Compare(cell, *other, classification);
  }
  return by_shots;
}

std::string CsvText(const std::string& text) {
  if (text.find_first_of(",\"\n\r") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) quoted += c == '"' ? "\"\"" : std::string(1, c);
  return quoted + "\"";
}

ordered_json SessionsOf(const RoundRecord& record) {
  ordered_json sessions = ordered_json::array();
  for (const SessionRecord& session : record.sessions) {
    ordered_json one = {{"session", session.session},
                        {"group", session.group},
                        {"members", session.members},
                        {"opened", session.opened}};
    if (!session.opened) {
      one["phase"] = session.phase;
      one["reason"] = session.reason;
    }
    if (!session.missing.empty()) one["missing"] = session.missing;
    sessions.push_back(std::move(one));
  }
  return sessions;
}

/// A row; a value that is not finite is an empty field.
struct MetricRow {
  std::uint64_t round;
  std::string split, client, method, steps, metric;
  double value;
  std::string leg, shots, learning_rate;
  std::string Text() const {
    return std::to_string(round) + "," + split + "," + CsvText(client) + "," + CsvText(method) +
           "," + steps + "," + metric + "," + (std::isfinite(value) ? FormatNumber(value) : "") +
           "," + CsvText(leg) + "," + shots + "," + learning_rate + "\n";
  }
};

}  // namespace

double TrainingLoss(const MetricSums& sums) {
  return sums.examples > 0 ? sums.query_loss / sums.examples : MeanOf(sums.mean_loss, sums.clients);
}
double TrainingAccuracy(const MetricSums& sums) {
  return sums.examples > 0 ? sums.correct / sums.examples : MeanOf(sums.mean_correct, sums.clients);
}

std::string RoundLine(const RoundRecord& record, bool classification) {
  ordered_json line;
  line["leg"] = record.leg;
  line["round"] = record.round;
  line["attempt"] = record.attempt;
  line["committed"] = record.committed;
  if (!record.reason.empty()) line["reason"] = record.reason;
  line["cohort"] = record.cohort;
  line["reported"] = record.reported;
  line["dropped"] = ordered_json::array();
  for (const DroppedClient& dropped : record.dropped)
    line["dropped"].push_back(
        {{"client", dropped.client}, {"phase", dropped.phase}, {"reason", dropped.reason}});
  line["inner_diverged"] = Count(record.metrics.diverged_tasks);
  line["tasks"] = Count(record.metrics.tasks);
  if (record.epsilon) line["epsilon"] = *record.epsilon;
  line["query_loss"] = TrainingLoss(record.metrics);
  if (classification) line["query_accuracy"] = TrainingAccuracy(record.metrics);
  line["bytes_down"] = record.bytes_down;
  line["bytes_up"] = record.bytes_up;
  line["wall_s"] = record.wall_s;
  line["parts"] = ordered_json::object();
  for (const auto& [part, seconds] : record.parts_s) line["parts"][part] = seconds;
  if (!record.sessions.empty()) line["sessions"] = SessionsOf(record);
  if (record.spent) line["spent"] = true;
  return Dump(line) + "\n";
}

std::string EvaluationLines(const EvaluationRecord& record, bool classification) {
  std::string lines;
  for (const EvaluationCell& cell : record.cells) {
    const MetricSums& sums = cell.sums;
    const bool summed = record.client.empty();
    ordered_json line;
    line["leg"] = record.leg;
    line["round"] = record.round;
    line["client"] = nullptr;
    if (!summed) line["client"] = record.client;
    line["holdout"] = record.holdout;
    line["method"] = record.method;
    line["steps"] = cell.steps;
    line["shots"] = cell.shots;
    line["learning_rate"] = cell.learning_rate;
    line["loss"] = MeanOf(sums.mean_loss, sums.clients);
    if (classification) line["accuracy"] = MeanOf(sums.mean_correct, sums.clients);
    line["examples"] = Count(sums.examples);
    line["tasks"] = Count(sums.tasks);
    line["diverged"] = Count(sums.diverged_tasks);
    if (summed) {
      // Loss and accuracy above are means over clients; these are means over their examples.
      line["clients"] = Count(sums.clients);
      line["loss_over_examples"] = MeanOf(sums.query_loss, sums.examples);
      if (classification) line["accuracy_over_examples"] = MeanOf(sums.correct, sums.examples);
    }
    if (classification) AddScores(line, sums, summed);
    lines += Dump(line) + "\n";
  }
  return lines;
}

std::string SummaryText(const RunHeading& heading, const RunSummary& summary) {
  ordered_json object;
  object["status"] = RunStatusName(summary.status);
  if (!summary.reason.empty()) object["reason"] = summary.reason;
  object["experiment"] = heading.experiment;
  object["model"] = heading.model;
  object["algorithm"] = heading.algorithm;
  object["seed"] = heading.seed;
  object["mode"] = heading.live ? "live" : "simulation";
  object["objective"] = heading.classification ? "classification" : "regression";
  object["clients"] = heading.clients;
  object["holdout_clients"] = heading.holdout_clients;
  object["cohort"] = heading.cohort;
  object["tested_on"] = summary.tested_on_training_sites ? "training_sites" : "held_out_sites";
  object["rounds"] = summary.rounds;
  object["rounds_planned"] = heading.rounds;
  object["reports"] = summary.reports;
  object["dropped"] = summary.dropped;
  object["parameters"] = summary.parameters;
  object["wall_s"] = summary.wall_s;
  if (summary.privacy) AddPrivacy(object, *summary.privacy);
  AddMethod(object, summary.main, heading.classification);
  object["baselines"] = ordered_json::object();
  for (const MethodSummary& baseline : summary.baselines) {
    const bool taken = object["baselines"].contains(baseline.method);
    ordered_json& entry = object["baselines"][taken ? baseline.leg : baseline.method];
    AddMethod(entry, baseline, heading.classification);
    entry["main_minus_baseline"] = CompareMethods(summary.main, baseline, heading.classification);
  }
  return Dump(object, 2) + "\n";
}

std::string MetricsHeader() {
  return "round,split,client,method,steps,metric,value,leg,shots,learning_rate\n";
}

std::string RoundRows(const RoundRecord& record, const std::string& method, bool classification) {
  if (!record.committed) return {};
  MetricRow row{record.round, "train", {}, method, {}, {}, 0, record.leg, {}, {}};
  std::string rows;
  const auto add = [&](const char* metric, double value) {
    row.metric = metric;
    row.value = value;
    rows += row.Text();
  };
  add("loss", TrainingLoss(record.metrics));
  if (classification) add("accuracy", TrainingAccuracy(record.metrics));
  add("examples", record.metrics.examples);
  return rows;
}

std::string EvaluationRows(const EvaluationRecord& record, bool classification) {
  std::string rows;
  for (const EvaluationCell& cell : record.cells) {
    MetricRow row{record.round,
                  record.holdout ? "test" : "validation",
                  record.client,
                  record.method,
                  std::to_string(cell.steps),
                  {},
                  0,
                  record.leg,
                  std::to_string(cell.shots),
                  FormatNumber(cell.learning_rate)};
    const auto add = [&](const char* metric, double value) {
      row.metric = metric;
      row.value = value;
      rows += row.Text();
    };
    add("loss", MeanOf(cell.sums.mean_loss, cell.sums.clients));
    if (classification) {
      add("accuracy", MeanOf(cell.sums.mean_correct, cell.sums.clients));
      if (cell.sums.auc_clients > 0) add("auc", cell.sums.mean_auc / cell.sums.auc_clients);
      if (cell.sums.CalibrationError()) add("brier", cell.sums.mean_brier / cell.sums.clients);
    }
    add("examples", cell.sums.examples);
  }
  return rows;
}

}  // namespace fedmeta
