#include "fedmeta/records/scores.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "fedmeta/core/bootstrap.h"
#include "fedmeta/core/rng.h"

namespace fedmeta {
namespace {

using nlohmann::ordered_json;

/// A figure of one client; nothing where it has none.
struct Figure {
  const char* name;
  bool higher_is_better;
  std::optional<double> (*of)(const MetricSums& sums);
};

std::optional<double> Loss(const MetricSums& sums) { return sums.mean_loss; }
std::optional<double> Accuracy(const MetricSums& sums) { return sums.mean_correct; }
std::optional<double> Brier(const MetricSums& sums) {
  return sums.CalibrationError() ? std::optional(sums.mean_brier) : std::nullopt;
}
std::optional<double> Area(const MetricSums& sums) {
  return sums.auc_clients > 0 ? std::optional(sums.mean_auc) : std::nullopt;
}

std::vector<Figure> Figures(bool classification) {
  if (!classification) return {{"loss", false, Loss}};
  return {{"loss", false, Loss},
          {"accuracy", true, Accuracy},
          {"auc", true, Area},
          {"brier", false, Brier}};
}

/// The same on every machine.
Interval Bootstrap(const std::vector<double>& values) {
  Rng rng(StreamName{.seed = 0, .purpose = "report-bootstrap"});
  return BootstrapMean(values, rng);
}

/// Null where no probabilities were counted.
void AddCalibration(ordered_json& object, const char* brier, const MetricSums& sums) {
  const std::optional<double> calibration = sums.CalibrationError();
  object[brier] = calibration ? ordered_json(sums.mean_brier / sums.clients) : ordered_json();
  object["ece"] = calibration ? ordered_json(*calibration) : ordered_json();
}

}  // namespace

double MeanOf(double sum, double count) {
  return count > 0 ? sum / count : std::numeric_limits<double>::quiet_NaN();
}

void AddScores(ordered_json& line, const MetricSums& sums, bool summed) {
  line["log_loss"] = MeanOf(sums.mean_loss, sums.clients);
  line["auc"] = MeanOf(sums.mean_auc, sums.auc_clients);
  AddCalibration(line, "brier", sums);
  line["positives"] = std::llround(sums.positives);
  if (!summed) return;
  line["auc_clients"] = std::llround(sums.auc_clients);
  line["calibration"] = ordered_json::array();
  for (std::size_t bin = 0; bin < MetricSums::kBins; ++bin) {
    const double examples = sums.bin_examples[bin];
    if (examples <= 0) continue;
    line["calibration"].push_back({{"examples", std::llround(examples)},
                                   {"predicted", sums.bin_predicted[bin] / examples},
                                   {"observed", sums.bin_observed[bin] / examples}});
  }
}

void AddFinalScores(ordered_json& object, const FinalCell& cell, bool classification) {
  const MetricSums& sums = cell.sums;
  object["loss_over_examples"] = MeanOf(sums.query_loss, sums.examples);
  if (classification) {
    object["accuracy_over_examples"] = MeanOf(sums.correct, sums.examples);
    object["log_loss_mean"] = cell.loss_mean;
    object["auc_mean"] = MeanOf(sums.mean_auc, sums.auc_clients);
    object["auc_clients"] = std::llround(sums.auc_clients);
    AddCalibration(object, "brier_mean", sums);
  }
  for (const Figure& figure : Figures(classification)) {
    std::vector<double> values;
    for (const ClientFigures& client : cell.disclosed) {
      if (const auto value = figure.of(client.sums)) values.push_back(*value);
    }
    if (values.empty()) continue;
    const std::string name = figure.name;
    object[name + "_worst"] = figure.higher_is_better ? *std::ranges::min_element(values)
                                                      : *std::ranges::max_element(values);
    if (values.size() < 2) continue;
    const Interval interval = Bootstrap(values);
    object[name + "_interval"] = {interval.low, interval.high};
  }
}

ordered_json Compare(const FinalCell& cell, const FinalCell& other, bool classification) {
  std::map<std::string, MetricSums> theirs;
  for (const ClientFigures& client : other.disclosed) theirs.emplace(client.client, client.sums);
  ordered_json compared;
  for (const Figure& figure : Figures(classification)) {
    std::vector<double> differences;
    double worse = 0;
    for (const ClientFigures& client : cell.disclosed) {
      const auto found = theirs.find(client.client);
      if (found == theirs.end()) continue;
      const auto own = figure.of(client.sums);
      const auto its = figure.of(found->second);
      if (!own || !its) continue;
      differences.push_back(*own - *its);
      worse += (figure.higher_is_better ? *own < *its : *own > *its) ? 1 : 0;
    }
    if (differences.empty()) continue;
    const Interval interval = Bootstrap(differences);
    compared[figure.name] = {{"difference", interval.mean},
                             {"low", interval.low},
                             {"high", interval.high},
                             {"clients", differences.size()},
                             {"share_worse", worse / static_cast<double>(differences.size())}};
  }
  return compared;
}

}  // namespace fedmeta
