#include "fedmeta/coordinator/selection.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include <nlohmann/json.hpp>

namespace fedmeta {
namespace {

constexpr double kDivergedShare = 0.05;
constexpr std::size_t kDisclosing = 10;

double DivergedShare(const MetricSums& cell) {
  return cell.tasks > 0 ? cell.diverged_tasks / cell.tasks : 0;
}

/// Position of the best of `count` cells, the earliest of equal ones.
template <typename CellAt>
std::size_t Best(std::size_t count, const Selection& selection, const CellAt& cell_at) {
  std::size_t best = 0;
  Score best_score = ScoreOf(cell_at(0), selection);
  for (std::size_t i = 1; i < count; ++i) {
    const Score score = ScoreOf(cell_at(i), selection);
    if (Better(score, best_score, selection)) {
      best = i;
      best_score = score;
    }
  }
  return best;
}

struct Spread {
  std::optional<double> deviation, worst_decile;
};

Spread SpreadOf(std::vector<double> accuracies, bool show_small) {
  Spread spread;
  const std::size_t count = accuracies.size();
  if (count == 0 || (count < kDisclosing && !show_small)) return spread;
  std::sort(accuracies.begin(), accuracies.end());
  double sum = 0;
  for (const double accuracy : accuracies) sum += accuracy;
  const double mean = sum / static_cast<double>(count);
  if (count > 1) {
    double squares = 0;
    for (const double accuracy : accuracies) squares += (accuracy - mean) * (accuracy - mean);
    spread.deviation = std::sqrt(squares / static_cast<double>(count - 1));
  }
  const std::size_t worst = std::max<std::size_t>(1, count / 10);
  double worst_sum = 0;
  for (std::size_t i = 0; i < worst; ++i) worst_sum += accuracies[i];
  spread.worst_decile = worst_sum / static_cast<double>(worst);
  return spread;
}

}  // namespace

Selection SelectionOf(const v1::Evaluation& evaluation, const EvaluationGrid& grid) {
  // log_loss is the loss of a classifier.
  Selection selection{.metric = Selection::Metric::kLoss, .step = grid.steps.size() - 1};
  const std::string& metric = evaluation.select().metric();
  if (metric == "accuracy_mean") selection.metric = Selection::Metric::kAccuracy;
  if (metric == "auc_mean") selection.metric = Selection::Metric::kAuc;
  if (evaluation.select().has_steps()) {
    const auto found = std::find(grid.steps.begin(), grid.steps.end(), evaluation.select().steps());
    if (found != grid.steps.end()) {
      selection.step = static_cast<std::size_t>(found - grid.steps.begin());
    }
  }
  return selection;
}

Score ScoreOf(const MetricSums& cell, const Selection& selection) {
  const bool by_area = selection.metric == Selection::Metric::kAuc;
  const double clients = by_area ? cell.auc_clients : cell.clients;
  const double sum = by_area                                            ? cell.mean_auc
                     : selection.metric == Selection::Metric::kAccuracy ? cell.mean_correct
                                                                        : cell.mean_loss;
  if (clients <= 0 || !std::isfinite(sum)) {
    return {.sound = false,
            .value = selection.higher_is_better() ? 0 : std::numeric_limits<double>::infinity()};
  }
  return {.sound = DivergedShare(cell) <= kDivergedShare, .value = sum / clients};
}

bool Better(const Score& a, const Score& b, const Selection& selection) {
  if (a.sound != b.sound) return a.sound;
  return selection.higher_is_better() ? a.value > b.value : a.value < b.value;
}

std::vector<TunedShots> Tune(const EvaluationGrid& grid, std::span<const MetricSums> validation,
                             const Selection& selection) {
  const std::size_t rates = grid.learning_rates.size();
  const std::size_t steps = grid.steps.size();
  std::vector<TunedShots> tuned(grid.shots.size());
  for (std::size_t shot = 0; shot < tuned.size(); ++shot) {
    for (std::size_t step = 0; step < steps; ++step) {
      tuned[shot].rate_by_step.push_back(Best(rates, selection, [&](std::size_t rate) {
        return validation[grid.cell(shot, rate, step)];
      }));
    }
    // By step first, so that of equal cells the one with fewer steps is kept.
    tuned[shot].step = Best(steps, selection, [&](std::size_t step) {
      return validation[grid.cell(shot, tuned[shot].rate_by_step[step], step)];
    });
    tuned[shot].rate = tuned[shot].rate_by_step[tuned[shot].step];
  }
  return tuned;
}

Score RoundScore(const EvaluationGrid& grid, std::span<const MetricSums> validation,
                 const Selection& selection) {
  const auto cell_at = [&](std::size_t rate) {
    return validation[grid.cell(0, rate, selection.step)];
  };
  return ScoreOf(cell_at(Best(grid.learning_rates.size(), selection, cell_at)), selection);
}

std::string TunedJson(const EvaluationGrid& grid, std::span<const TunedShots> tuned) {
  nlohmann::ordered_json json = nlohmann::ordered_json::object();
  for (std::size_t shot = 0; shot < tuned.size(); ++shot) {
    nlohmann::ordered_json by_steps = nlohmann::ordered_json::object();
    for (std::size_t step = 0; step < grid.steps.size(); ++step) {
      by_steps[std::to_string(grid.steps[step])] =
          grid.learning_rates[tuned[shot].rate_by_step[step]];
    }
    json[std::to_string(grid.shots[shot])] = {
        {"learning_rate", grid.learning_rates[tuned[shot].rate]},
        {"steps", grid.steps[tuned[shot].step]},
        {"by_steps", std::move(by_steps)}};
  }
  return json.dump();
}

std::vector<FinalCell> FinalCells(const EvaluationGrid& grid, std::span<const TunedShots> tuned,
                                  const RoundResult& test, bool show_small) {
  std::vector<FinalCell> cells;
  const auto add = [&](std::size_t shot, std::size_t rate, std::size_t step, bool is_tuned) {
    const std::size_t position = grid.cell(shot, rate, step);
    const MetricSums& sums = test.metrics[position];
    const double clients = std::max(1.0, sums.clients);
    std::vector<double> accuracies;
    std::vector<ClientFigures> disclosed;
    for (const auto& [client, own] : test.disclosed) {
      if (own[position].clients <= 0) continue;
      accuracies.push_back(own[position].mean_correct);
      disclosed.push_back({.client = client.value(), .sums = own[position]});
    }
    Spread spread = SpreadOf(std::move(accuracies), show_small);
    cells.push_back({.shots = grid.shots[shot],
                     .steps = grid.steps[step],
                     .learning_rate = grid.learning_rates[rate],
                     .tuned = is_tuned,
                     .accuracy_mean = sums.mean_correct / clients,
                     .loss_mean = sums.mean_loss / clients,
                     .accuracy_std = spread.deviation,
                     .accuracy_worst_decile = spread.worst_decile,
                     .clients = static_cast<std::uint32_t>(sums.clients),
                     .diverged_share = DivergedShare(sums),
                     .sums = sums,
                     .disclosed = std::move(disclosed)});
  };
  for (std::size_t shot = 0; shot < tuned.size(); ++shot) {
    for (std::size_t step = 0; step < grid.steps.size(); ++step) {
      add(shot, tuned[shot].rate_by_step[step], step, false);
    }
  }
  for (std::size_t shot = 0; shot < tuned.size(); ++shot) {
    add(shot, tuned[shot].rate, tuned[shot].step, true);
  }
  return cells;
}

}  // namespace fedmeta
