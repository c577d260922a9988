#include "fedmeta/algorithms/server/server_rules.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "fedmeta/core/check.h"

namespace fedmeta {
namespace {

void ApplyRule(const Segment& segment, std::size_t first, std::span<const double> mean,
               const RoundOutcome& outcome, ServerOptimizer& optimizer, std::span<float> state) {
  switch (segment.rule) {
    case ServerRule::kOptimize:
      optimizer.Step(first, state, mean, outcome.round);
      return;
    case ServerRule::kMean:
      std::ranges::transform(mean, state.begin(),
                             [](double value) { return static_cast<float>(value); });
      return;
    case ServerRule::kAccumulate: {
      const double share =
          static_cast<double>(outcome.reported) / static_cast<double>(outcome.population);
      const double factor = segment.scale * share;
      for (std::size_t i = 0; i < state.size(); ++i)
        state[i] = static_cast<float>(state[i] + factor * mean[i]);
      return;
    }
  }
}

}  // namespace

Status ApplyServerRules(const StateLayout& layout, std::span<const double> mean,
                        const RoundOutcome& outcome, ServerOptimizer& optimizer,
                        std::vector<float>& state) {
  FEDMETA_CHECK(mean.size() == layout.size() && state.size() == layout.size());
  FEDMETA_CHECK(outcome.round > 0);
  const bool accumulates = std::ranges::any_of(layout.segments(), [](const Segment& segment) {
    return segment.rule == ServerRule::kAccumulate;
  });
  if (accumulates && (outcome.population == 0 || outcome.reported > outcome.population)) {
    return Error(ErrorCode::kInvalidArgument,
                 "server rules: reported must be at most population > 0, got " +
                     std::to_string(outcome.reported) + " of " +
                     std::to_string(outcome.population));
  }
  std::vector<float> next = state;
  for (std::size_t s = 0; s < layout.segments().size(); ++s) {
    const std::size_t first = layout.segment_offset(s);
    const std::size_t size = layout.segment_size(s);
    ApplyRule(layout.segments()[s], first, mean.subspan(first, size), outcome, optimizer,
              std::span(next).subspan(first, size));
  }
  const auto bad = std::ranges::find_if(next, [](float value) { return !std::isfinite(value); });
  if (bad != next.end()) {
    const auto coordinate = static_cast<std::size_t>(bad - next.begin());
    return Error(ErrorCode::kFederationFailed,
                 "server state: " + layout.CoordinateName(coordinate) +
                     " is no longer finite after round " + std::to_string(outcome.round) +
                     "; lower the learning rate");
  }
  state = std::move(next);
  return {};
}

}  // namespace fedmeta
