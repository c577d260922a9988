#include "fedmeta/records/report_figures.h"

#include <cmath>
#include <iterator>

#include "fedmeta/records/report_html.h"
#include "fedmeta/records/words.h"

namespace fedmeta {

std::string Figure(const ReportData& data, double value) {
  return data.classification ? Fixed(100 * value, 1) : Fixed(value, 3);
}
std::string Measured(const ReportData& data, double value) {
  return data.classification ? Fixed(100 * value, 1) + " % accuracy"
                             : "a loss of " + Fixed(value, 3);
}
std::string Sites(const ReportData& data, std::uint64_t count) {
  if (data.summary && data.summary->tested_on_training_sites)
    return Counted(count, "training site", "training sites");
  return data.holdout_clients > 0 ? Counted(count, "held-out site", "held-out sites")
                                  : Counted(count, "site", "sites");
}
std::string Examples(const ReportData& data, std::uint32_t shots) {
  return ShotsText(shots, data.shots_of);
}

const FinalCell* FindCell(const MethodSummary& method, std::uint32_t shots, bool tuned,
                          std::uint32_t steps) {
  for (const FinalCell& cell : method.cells)
    if (cell.shots == shots && cell.tuned == tuned && (tuned || cell.steps == steps)) return &cell;
  return nullptr;
}
const FinalCell* AdaptedCell(const MethodSummary& method, std::uint32_t shots) {
  if (const FinalCell* tuned = FindCell(method, shots, true, 0)) return tuned;
  const FinalCell* most = nullptr;
  for (const FinalCell& cell : method.cells)
    if (cell.shots == shots && (most == nullptr || cell.steps > most->steps)) most = &cell;
  return most;
}

std::set<std::uint32_t> AllShots(const MethodSummary& method) {
  std::set<std::uint32_t> shots;
  for (const FinalCell& cell : method.cells) shots.insert(cell.shots);
  return shots;
}
std::set<std::uint32_t> AllSteps(const MethodSummary& method) {
  std::set<std::uint32_t> steps;
  for (const FinalCell& cell : method.cells)
    if (!cell.tuned) steps.insert(cell.steps);
  return steps;
}

std::map<std::string, double> ByClient(const ReportData& data, const MethodSummary& method,
                                       const FinalCell& cell) {
  std::map<std::string, double> values;
  for (const EvaluationLineData& line : data.evaluations)
    if (!line.client.empty() && line.holdout && line.leg == method.leg &&
        line.round == method.best_round && line.shots == cell.shots && line.steps == cell.steps &&
        line.learning_rate == cell.learning_rate && std::isfinite(data.Value(line)))
      values[line.client] = data.Value(line);
  return values;
}

const MethodSummary* BestBaseline(const ReportData& data, std::uint32_t shots) {
  const MethodSummary* best = nullptr;
  double best_value = 0;
  for (const MethodSummary& baseline : data.summary->baselines) {
    const FinalCell* cell = AdaptedCell(baseline, shots);
    if (cell == nullptr || !std::isfinite(data.Value(*cell))) continue;
    if (best == nullptr || data.Better(data.Value(*cell), best_value)) {
      best = &baseline;
      best_value = data.Value(*cell);
    }
  }
  return best;
}

std::vector<ColoredMethod> Methods(const ReportData& data) {
  constexpr int kMain = 0, kAlone = 4, kOthers[] = {1, 2, 3, 5};
  std::vector<ColoredMethod> methods = {{&data.summary->main, kMain}};
  std::size_t others = 0;
  for (const MethodSummary& baseline : data.summary->baselines)
    methods.push_back(
        {&baseline, baseline.method == "local" ? kAlone : kOthers[others++ % std::size(kOthers)]});
  return methods;
}

std::string ShortName(const std::string& method) {
  if (method == "local") return "alone";
  if (method == "fedavg") return "FedAvg";
  return MethodName(method);
}

bool HasFinalFigures(const ReportData& data) {
  return data.summary && !data.summary->main.cells.empty();
}

double HalfBand(const ReportData& data, const MethodSummary& method, const FinalCell& cell) {
  const std::map<std::string, double> values = ByClient(data, method, cell);
  if (values.size() < 2) return 0;
  const auto count = static_cast<double>(values.size());
  double sum = 0, squares = 0;
  for (const auto& [client, value] : values) sum += value;
  for (const auto& [client, value] : values) squares += std::pow(value - sum / count, 2);
  return 1.96 * std::sqrt(squares / (count - 1) / count);
}

}  // namespace fedmeta
