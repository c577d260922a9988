#include "fedmeta/coordinator/leg_course.h"

#include <algorithm>
#include <utility>

namespace fedmeta {

LegCourse::LegCourse(const v1::Experiment& experiment, LegFacts facts)
    : facts_(std::move(facts)),
      plans_(experiment, facts_),
      selection_(SelectionOf(experiment.evaluation(), plans_.grid())) {}

void LegCourse::CountBytes(const RoundPlan& plan, AttemptRecord& record) const {
  for (const ClientId& client : record.cohort) {
    record.bytes_down += plan.bytes().size() + StateBytes(plan.message());
    if (!briefed_.contains(client)) record.bytes_down += facts_.assignment_size;
  }
  // Sessions count their own, those that came to nothing included.
  if (!facts_.secure) {
    record.bytes_up = record.reported.size() * UploadSize(plan.message(), std::nullopt);
  }
}

RoundRecord LegCourse::TakeTraining(const AttemptRecord& record) {
  RoundRecord line{.leg = facts_.name,
                   .round = record.key.round,
                   .attempt = record.key.attempt,
                   .committed = record.committed,
                   .reason = record.reason,
                   .cohort = {},
                   .reported = {},
                   .dropped = record.dropped,
                   .metrics = {},
                   .bytes_down = record.bytes_down,
                   .bytes_up = record.bytes_up,
                   .wall_s = record.wall_s,
                   .parts_s = record.parts_s,
                   .epsilon = record.epsilon,
                   .sessions = record.sessions,
                   .spent = record.spent};
  for (const ClientId& client : record.cohort) {
    line.cohort.push_back(client.value());
    briefed_.insert(client);
  }
  for (const ClientId& client : record.reported) line.reported.push_back(client.value());
  if (!record.result.metrics.empty()) line.metrics = record.result.metrics.front();
  dropped_ += record.dropped.size();
  if (record.spent) ++spent_;
  if (record.committed) {
    reports_ += record.reported.size();
    ++committed_;
    head_ = record.key;
  }
  return line;
}

bool LegCourse::TakeValidation(std::uint64_t round, const std::vector<MetricSums>& validation) {
  tuned_ = Tune(plans_.grid(), validation, selection_);
  const Score score = RoundScore(plans_.grid(), validation, selection_);
  last_is_best_ = !best_score_ || Better(score, *best_score_, selection_);
  if (last_is_best_) {
    best_score_ = score;
    best_round_ = round;
    best_cells_.clear();
  }
  return last_is_best_;
}

void LegCourse::TakeTest(const RoundResult& test, SmallGroups small_groups) {
  if (!last_is_best_) return;
  best_cells_ = FinalCells(plans_.grid(), tuned_, test, small_groups == SmallGroups::kShow);
}

std::vector<EvaluationRecord> LegCourse::Records(std::uint64_t round, bool holdout,
                                                 const RoundResult& result) const {
  const EvaluationGrid& grid = plans_.grid();
  std::vector<EvaluationRecord> records;
  const auto add = [&](const std::string& client, const std::vector<MetricSums>& metrics) {
    EvaluationRecord record{.leg = facts_.name,
                            .method = facts_.method,
                            .round = round,
                            .client = client,
                            .holdout = holdout,
                            .cells = {}};
    for (std::size_t shot = 0; shot < grid.shots.size(); ++shot) {
      for (std::size_t rate = 0; rate < grid.learning_rates.size(); ++rate) {
        for (std::size_t step = 0; step < grid.steps.size(); ++step) {
          record.cells.push_back({.shots = grid.shots[shot],
                                  .learning_rate = grid.learning_rates[rate],
                                  .steps = grid.steps[step],
                                  .sums = metrics[grid.cell(shot, rate, step)]});
        }
      }
    }
    records.push_back(std::move(record));
  };
  add({}, result.metrics);
  for (const auto& [client, metrics] : result.disclosed) add(client.value(), metrics);
  return records;
}

MethodSummary LegCourse::Summary() const {
  return {.method = facts_.method,
          .leg = facts_.name,
          .best_round = best_round_,
          .validation_score = best_score_ ? best_score_->value : 0,
          .cells = best_cells_};
}

std::map<std::string, std::string> LegCourse::Metadata(std::uint64_t round) const {
  return {{"leg", facts_.name},
          {"method", facts_.method},
          {"round", std::to_string(round)},
          {"tuned", TunedJson(plans_.grid(), tuned_)}};
}

bool Standings::Take(std::size_t position, const LegCourse& course) {
  const bool main = course.facts().main;
  const Score score = *course.best_score();
  const auto [best, first] = best_.try_emplace(main ? "" : course.facts().method, score);
  if (!first && !Better(score, best->second, course.selection())) return false;
  best->second = score;
  if (main) best_main_ = position;
  return true;
}

namespace {

std::vector<MethodSummary> SummarizeBaselines(std::span<const LegCourse> courses) {
  std::vector<const LegCourse*> chosen;
  for (const LegCourse& course : courses) {
    if (course.facts().main || !course.best_score()) continue;
    const auto same = std::find_if(chosen.begin(), chosen.end(), [&](const LegCourse* other) {
      return other->facts().method == course.facts().method;
    });
    if (same == chosen.end()) {
      chosen.push_back(&course);
    } else if (Better(*course.best_score(), *(*same)->best_score(), course.selection())) {
      *same = &course;
    }
  }
  std::vector<MethodSummary> summaries;
  for (const LegCourse* course : chosen) summaries.push_back(course->Summary());
  return summaries;
}

}  // namespace

RunSummary Summarize(std::span<const LegCourse> courses, std::size_t best_main) {
  const LegCourse& main = courses[best_main];
  return {.rounds = main.committed(),
          .parameters = main.facts().coordinates,
          .reports = main.reports(),
          .dropped = main.dropped(),
          .main = main.Summary(),
          .baselines = SummarizeBaselines(courses)};
}

}  // namespace fedmeta
