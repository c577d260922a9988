#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <optional>
#include <span>
#include <string_view>

namespace fedmeta {

/// Sums over examples and tasks, and this client's means with their counts (for means over
/// clients), of one metric cell: training, or one (shots, learning rate, steps) of an evaluation.
/// They travel as coordinates of the contribution, so that in a live federation the coordinator
/// learns no client's loss. Every field adds.
struct MetricSums {
  static constexpr std::size_t kBins = 10;
  static constexpr std::size_t kScalars = 15;
  static constexpr std::size_t kSize = kScalars + 3 * kBins;
  using Bins = std::array<double, kBins>;
  /// In the order of ToArray(), for error messages and records. All bins of a kind share a name.
  static constexpr std::array<std::string_view, kSize> kNames = [] {
    std::array<std::string_view, kSize> names = {
        "examples",     "query_loss", "correct",        "clients",   "mean_loss",
        "mean_correct", "tasks",      "diverged_tasks", "positives", "brier",
        "mean_brier",   "auc",        "auc_tasks",      "mean_auc",  "auc_clients"};
    for (std::size_t bin = 0; bin < kBins; ++bin) {
      names[kScalars + bin] = "bin_examples";
      names[kScalars + kBins + bin] = "bin_predicted";
      names[kScalars + 2 * kBins + bin] = "bin_observed";
    }
    return names;
  }();
  double examples = 0;    ///< query examples
  double query_loss = 0;  ///< summed over examples; in classification the log-loss, unweighted
  double correct = 0;     ///< examples classified correctly; 0 in regression
  double clients = 0;     ///< 1 from a client that has examples
  double mean_loss = 0;   ///< this client's mean over its examples
  double mean_correct = 0;
  double tasks = 0;           ///< drawn
  double diverged_tasks = 0;  ///< of these: left out, loss not finite or grown in the inner loop
  // What follows is of evaluations of classifiers; training leaves it 0.
  double positives = 0;  ///< examples of class 1, with two classes
  /// Summed over examples: (p - y)^2 with two classes, with more the sum of it over classes.
  double brier = 0;
  double mean_brier = 0;   ///< this client's mean over its examples
  double auc = 0;          ///< area under the ROC curve of class 1, summed over tasks
  double auc_tasks = 0;    ///< tasks that have one: two classes, and examples of both
  double mean_auc = 0;     ///< this client's mean over those tasks
  double auc_clients = 0;  ///< 1 from a client that has such a task
  /// By predicted probability, of class 1 with two classes, else of the class predicted: bin b
  /// holds [b, b + 1) / kBins.
  Bins bin_examples = {};
  Bins bin_predicted = {};  ///< these probabilities, summed
  Bins bin_observed = {};   ///< examples that are of that class

  std::array<double, kSize> ToArray() const {
    std::array<double, kSize> values = {examples,  query_loss,   correct,    clients,
                                        mean_loss, mean_correct, tasks,      diverged_tasks,
                                        positives, brier,        mean_brier, auc,
                                        auc_tasks, mean_auc,     auc_clients};
    auto to = values.begin() + kScalars;
    for (const Bins* bins : {&bin_examples, &bin_predicted, &bin_observed})
      to = std::copy(bins->begin(), bins->end(), to);
    return values;
  }
  static MetricSums FromArray(std::span<const double, kSize> v) {
    MetricSums sums{.examples = v[0],
                    .query_loss = v[1],
                    .correct = v[2],
                    .clients = v[3],
                    .mean_loss = v[4],
                    .mean_correct = v[5],
                    .tasks = v[6],
                    .diverged_tasks = v[7],
                    .positives = v[8],
                    .brier = v[9],
                    .mean_brier = v[10],
                    .auc = v[11],
                    .auc_tasks = v[12],
                    .mean_auc = v[13],
                    .auc_clients = v[14]};
    const double* from = v.data() + kScalars;
    for (Bins* bins : {&sums.bin_examples, &sums.bin_predicted, &sums.bin_observed}) {
      std::copy_n(from, kBins, bins->begin());
      from += kBins;
    }
    return sums;
  }
  void Add(const MetricSums& o) {
    auto values = ToArray();
    const auto others = o.ToArray();
    for (std::size_t i = 0; i < kSize; ++i) values[i] += others[i];
    *this = FromArray(values);
  }
  /// Sets the per-client fields from the sums over examples and tasks, once a client has added all
  /// its tasks.
  void FinishClient() {
    if (examples <= 0) return;
    clients = 1;
    mean_loss = query_loss / examples;
    mean_correct = correct / examples;
    mean_brier = brier / examples;
    if (auc_tasks <= 0) return;
    auc_clients = 1;
    mean_auc = auc / auc_tasks;
  }
  static std::size_t BinOf(double probability) {
    const auto bin = static_cast<std::size_t>(probability * static_cast<double>(kBins));
    return std::min(bin, kBins - 1);
  }
  /// Expected calibration error over all examples: the mean distance of predicted and observed
  /// shares, by bin (Naeini 2015). Nothing where no probabilities were counted.
  std::optional<double> CalibrationError() const {
    double count = 0;
    double distance = 0;
    for (std::size_t bin = 0; bin < kBins; ++bin) {
      count += bin_examples[bin];
      distance += std::abs(bin_predicted[bin] - bin_observed[bin]);
    }
    if (count <= 0) return std::nullopt;
    return distance / count;
  }
};

}  // namespace fedmeta
