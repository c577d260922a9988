#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <string_view>

namespace fedmeta {

/// Sums over examples, and this client's means with its count (for means over clients), of one
/// metric cell: training, or one (shots, learning rate, steps) of an evaluation. They travel as
/// coordinates of the contribution, so that in a live federation the coordinator learns no client's
/// loss. Every field adds.
struct MetricSums {
  static constexpr std::size_t kSize = 8;
  /// In the order of ToArray(), for error messages and records.
  static constexpr std::array<std::string_view, kSize> kNames = {
      "examples",  "query_loss",   "correct", "clients",
      "mean_loss", "mean_correct", "tasks",   "diverged_tasks"};
  double examples = 0;    ///< query examples
  double query_loss = 0;  ///< summed over examples
  double correct = 0;     ///< examples classified correctly; 0 in regression
  double clients = 0;     ///< 1 from a client that has examples
  double mean_loss = 0;   ///< this client's mean over its examples
  double mean_correct = 0;
  double tasks = 0;           ///< drawn
  double diverged_tasks = 0;  ///< of these: left out, loss not finite or grown in the inner loop

  std::array<double, kSize> ToArray() const {
    return {examples, query_loss, correct, clients, mean_loss, mean_correct, tasks, diverged_tasks};
  }
  static MetricSums FromArray(std::span<const double, kSize> v) {
    return {v[0], v[1], v[2], v[3], v[4], v[5], v[6], v[7]};
  }
  void Add(const MetricSums& o) {
    examples += o.examples;
    query_loss += o.query_loss;
    correct += o.correct;
    clients += o.clients;
    mean_loss += o.mean_loss;
    mean_correct += o.mean_correct;
    tasks += o.tasks;
    diverged_tasks += o.diverged_tasks;
  }
  /// Sets the per-client fields from the sums over examples, once a client has added all its tasks.
  void FinishClient() {
    if (examples <= 0) return;
    clients = 1;
    mean_loss = query_loss / examples;
    mean_correct = correct / examples;
  }
};

}  // namespace fedmeta
