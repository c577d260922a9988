#include "fedmeta/algorithms/models/classification_figures.h"

#include <algorithm>
#include <numeric>
#include <vector>

namespace fedmeta {

std::optional<double> AreaUnderCurve(std::span<const double> scores,
                                     std::span<const std::uint8_t> positive) {
  std::vector<std::size_t> order(scores.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(),
            [&](std::size_t a, std::size_t b) { return scores[a] < scores[b]; });
  double positives = 0;
  double negatives_below = 0;
  double ordered = 0;
  for (std::size_t first = 0; first < order.size();) {
    std::size_t end = first;
    double tied_positives = 0;
    for (; end < order.size() && scores[order[end]] == scores[order[first]]; ++end)
      tied_positives += positive[order[end]];
    const double tied_negatives = static_cast<double>(end - first) - tied_positives;
    ordered += tied_positives * (negatives_below + tied_negatives / 2);
    positives += tied_positives;
    negatives_below += tied_negatives;
    first = end;
  }
  if (positives == 0 || negatives_below == 0) return std::nullopt;
  return ordered / (positives * negatives_below);
}

void AddClassificationFigures(std::span<const double> probabilities,
                              std::span<const std::int64_t> classes, MetricSums& sums) {
  if (classes.empty()) return;
  const std::size_t width = probabilities.size() / classes.size();
  const bool two = width == 2;
  std::vector<double> scores;
  std::vector<std::uint8_t> positive;
  for (std::size_t i = 0; i < classes.size(); ++i) {
    const std::span<const double> p = probabilities.subspan(i * width, width);
    const auto target = static_cast<std::size_t>(classes[i]);
    double distance = 0;
    for (std::size_t c = 0; c < width; ++c) {
      const double difference = p[c] - (c == target ? 1.0 : 0.0);
      distance += difference * difference;
    }
    sums.brier += two ? distance / 2 : distance;
    const std::size_t shown =
        two ? 1 : static_cast<std::size_t>(std::max_element(p.begin(), p.end()) - p.begin());
    const std::size_t bin = MetricSums::BinOf(p[shown]);
    sums.bin_examples[bin] += 1;
    sums.bin_predicted[bin] += p[shown];
    sums.bin_observed[bin] += target == shown ? 1 : 0;
    if (!two) continue;
    sums.positives += target == 1 ? 1 : 0;
    scores.push_back(p[1]);
    positive.push_back(target == 1 ? 1 : 0);
  }
  if (!two) return;
  if (const auto area = AreaUnderCurve(scores, positive)) {
    sums.auc += *area;
    sums.auc_tasks += 1;
  }
}

}  // namespace fedmeta
