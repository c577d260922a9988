#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "fedmeta/core/result.h"
#include "fedmeta/records/run_records.h"

namespace fedmeta {

/// A line of rounds.jsonl; figures that were null are NaN.
struct RoundLineData {
  std::string leg, reason;
  std::uint64_t round = 0;
  bool committed = true;
  std::vector<std::string> cohort, reported;
  std::vector<DroppedClient> dropped;
  double loss = 0, accuracy = 0, bytes_down = 0, bytes_up = 0, wall_s = 0;
  double epsilon = 0;  ///< NaN where the line has none
  std::map<std::string, double> parts_s;
  std::optional<std::size_t> smallest_sum;  ///< of secure aggregation: members
};

/// A line of evaluation.jsonl.
struct EvaluationLineData {
  std::string leg, client;  ///< client empty: summed
  std::uint64_t round = 0;
  bool holdout = false;
  std::uint32_t steps = 0, shots = 0;
  double learning_rate = 0, loss = 0, accuracy = 0;
};

/// What a report is made of, read from the files of a run folder. A run that is still going has no
/// summary.
struct ReportData {
  std::vector<std::pair<std::string, std::string>>
      manifest;            ///< as text, nested keys joined by '.'
  std::string robust_aggregation;  ///< rule by which each update is looked at; empty: none
  std::string experiment;  ///< "fashion-maml"; the folder's name where the manifest has none
  std::string experiment_yaml;
  std::string main_leg;  ///< chosen by validation, or the first one of a run without summary
  bool classification = true, live = false;
  std::string shots_of;  ///< as in RunHeading
  std::uint32_t clients = 0, holdout_clients = 0, cohort = 0;
  std::uint64_t seed = 0, rounds_planned = 0, parameters = 0;
  std::string model, algorithm;
  std::optional<RunSummary> summary;
  std::vector<RoundLineData> rounds;
  /// Sums, and of clients those that the summary's choices rest on: test part, chosen leg and
  /// round.
  std::vector<EvaluationLineData> evaluations;

  /// The measured quantity, larger is better for accuracies only.
  double Value(const EvaluationLineData& line) const {
    return classification ? line.accuracy : line.loss;
  }
  double Value(const FinalCell& cell) const {
    return classification ? cell.accuracy_mean : cell.loss_mean;
  }
  /// What the test part of an evaluation was measured on.
  std::string TestName() const {
    const bool own = summary && summary->tested_on_training_sites;
    return own ? "training sites" : holdout_clients > 0 ? "held-out" : "test";
  }
  bool Better(double a, double b) const { return classification ? a > b : a < b; }
};

/// A last line that was not written to its end is left out; other damage is an error that names
/// file and line.
Result<ReportData> ReadReportData(const std::filesystem::path& run_dir,
                                  const std::string& summary_file = "summary.json");

}  // namespace fedmeta
