#include "fedmeta/client/adapt_figures.h"

#include <algorithm>
#include <functional>
#include <map>

#include <ATen/ATen.h>

#include "fedmeta/core/rng.h"

namespace fedmeta {
namespace {

constexpr std::size_t kFigures = 5;  // loss, accuracy, AUC, Brier score, calibration error
using Values = std::array<std::optional<double>, kFigures>;

Values ValuesOf(const MetricSums& sums) {
  Values values;
  if (sums.examples <= 0) return values;
  values[0] = sums.query_loss / sums.examples;
  values[1] = sums.correct / sums.examples;
  if (sums.auc_tasks > 0) values[2] = sums.auc / sums.auc_tasks;
  values[4] = sums.CalibrationError();
  if (values[4]) values[3] = sums.brier / sums.examples;
  return values;
}

/// Percentiles of what is drawn again and again; a draw without a figure (no example of a class) is
/// left out of its interval.
std::array<std::optional<Estimate>, kFigures> Bootstrap(const MetricSums& all, std::size_t draws,
                                                        const std::function<MetricSums()>& draw) {
  const Values values = ValuesOf(all);
  std::array<std::vector<double>, kFigures> drawn;
  for (std::size_t i = 0; i < draws; ++i) {
    const Values again = ValuesOf(draw());
    for (std::size_t f = 0; f < kFigures; ++f) {
      if (again[f]) drawn[f].push_back(*again[f]);
    }
  }
  std::array<std::optional<Estimate>, kFigures> estimates;
  for (std::size_t f = 0; f < kFigures; ++f) {
    if (!values[f] || drawn[f].empty()) continue;
    std::sort(drawn[f].begin(), drawn[f].end());
    estimates[f] = {.value = *values[f],
                    .low = drawn[f][drawn[f].size() * 25 / 1000],
                    .high = drawn[f][drawn[f].size() * 975 / 1000]};
  }
  return estimates;
}

/// The examples of each person, or each example alone.
std::vector<std::vector<std::int64_t>> Persons(std::int64_t examples,
                                               std::span<const std::uint32_t> groups) {
  std::vector<std::vector<std::int64_t>> persons;
  std::map<std::uint32_t, std::size_t> place;
  for (std::int64_t i = 0; i < examples; ++i) {
    if (groups.empty()) {
      persons.push_back({i});
      continue;
    }
    const auto [entry, added] = place.emplace(groups[static_cast<std::size_t>(i)], persons.size());
    if (added) persons.emplace_back();
    persons[entry->second].push_back(i);
  }
  return persons;
}

/// Few draws where each is dear: intervals of many examples need no more.
std::size_t Draws(std::int64_t examples) {
  constexpr std::int64_t kExamplesInAll = 2'000'000;
  return static_cast<std::size_t>(
      std::clamp<std::int64_t>(kExamplesInAll / std::max<std::int64_t>(1, examples), 200, 2000));
}

}  // namespace

AdaptFigure Summarise(const Objective& objective, std::span<const QueryOutputs> episodes,
                      std::uint64_t seed) {
  AdaptFigure figure;
  std::vector<MetricSums> measured;
  MetricSums all;
  for (const QueryOutputs& episode : episodes) {
    if (!episode.outputs.defined()) {
      ++figure.diverged;
      continue;
    }
    measured.push_back(objective.Evaluate(episode.outputs, episode.targets));
    all.Add(measured.back());
  }
  if (measured.empty()) return figure;
  Rng rng(StreamName{.seed = seed, .purpose = "bootstrap"});
  std::array<std::optional<Estimate>, kFigures> estimates;
  if (episodes.size() == 1) {
    const QueryOutputs& only = episodes.front();
    const auto persons = Persons(only.outputs.size(0), only.groups);
    std::vector<std::int64_t> examples;
    estimates = Bootstrap(all, Draws(only.outputs.size(0)), [&] {
      examples.clear();
      for (std::size_t i = 0; i < persons.size(); ++i) {
        const auto& person = persons[rng.Below(persons.size())];
        examples.insert(examples.end(), person.begin(), person.end());
      }
      const at::Tensor index = at::tensor(examples, at::TensorOptions(at::kLong));
      return objective.Evaluate(only.outputs.index_select(0, index),
                               only.targets.index_select(0, index));
    });
  } else {
    estimates = Bootstrap(all, Draws(static_cast<std::int64_t>(measured.size())), [&] {
      MetricSums sums;
      for (std::size_t i = 0; i < measured.size(); ++i)
        sums.Add(measured[rng.Below(measured.size())]);
      return sums;
    });
  }
  figure.loss = estimates[0].value_or(Estimate{});
  figure.accuracy = estimates[1].value_or(Estimate{});
  figure.auc = estimates[2];
  figure.brier = estimates[3];
  figure.calibration_error = estimates[4];
  return figure;
}

}  // namespace fedmeta
