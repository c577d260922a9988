#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "fedmeta/coordinator/round_engine.h"
#include "fedmeta/core/metric_sums.h"
#include "fedmeta/records/run_records.h"
#include "fedmeta/v1/experiment.pb.h"

namespace fedmeta {

/// The cells of an evaluation: shots x learning rates x steps, in that nesting, steps fastest. None
/// is empty.
struct EvaluationGrid {
  std::vector<std::uint32_t> shots;
  std::vector<double> learning_rates;
  std::vector<std::uint32_t> steps;  ///< ascending
  std::size_t size() const { return shots.size() * learning_rates.size() * steps.size(); }
  std::size_t cell(std::size_t shot, std::size_t rate, std::size_t step) const {
    return (shot * learning_rates.size() + rate) * steps.size() + step;
  }
};

/// What rounds and settings are compared by (evaluation.select).
struct Selection {
  enum class Metric : std::uint8_t { kLoss, kAccuracy, kAuc };
  Metric metric = Metric::kLoss;
  bool higher_is_better() const { return metric != Metric::kLoss; }
  std::size_t step = 0;  ///< position in EvaluationGrid::steps
};
Selection SelectionOf(const v1::Evaluation& evaluation, const EvaluationGrid& grid);

/// One cell's figure: the mean over clients of the selected metric. Cells without clients, with a
/// figure that is not finite or with more than 5% of their tasks diverged are unsound: they lose to
/// every sound one.
struct Score {
  bool sound = false;
  double value = 0;
};
Score ScoreOf(const MetricSums& cell, const Selection& selection);
/// Strictly better: of equal ones the earlier is kept.
bool Better(const Score& a, const Score& b, const Selection& selection);

/// Settings that validation chose for one number of shots; positions in the grid.
struct TunedShots {
  std::size_t rate = 0, step = 0;         ///< best of all
  std::vector<std::size_t> rate_by_step;  ///< best learning rate at each step count
};
std::vector<TunedShots> Tune(const EvaluationGrid& grid, std::span<const MetricSums> validation,
                             const Selection& selection);
/// A round's score: selected step count, first shots, best learning rate.
Score RoundScore(const EvaluationGrid& grid, std::span<const MetricSums> validation,
                 const Selection& selection);
/// The "tuned" metadata of checkpoints.
std::string TunedJson(const EvaluationGrid& grid, std::span<const TunedShots> tuned);

/// Hold-out figures at the tuned settings: every (shots, steps) at the learning rate chosen for it,
/// then the tuned cell of each shots. Standard deviation (n - 1) and worst decile (mean of the
/// worst tenth, at least one client) come from disclosing clients; below ten of them they are null,
/// unless `show_small`.
std::vector<FinalCell> FinalCells(const EvaluationGrid& grid, std::span<const TunedShots> tuned,
                                  const RoundResult& test, bool show_small);

}  // namespace fedmeta
