#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "fedmeta/coordinator/experiment_engine.h"
#include "fedmeta/coordinator/plan_factory.h"
#include "fedmeta/coordinator/selection.h"

namespace fedmeta {

/// What has happened in one leg so far: rounds committed, records, the best round on validation
/// with its hold-out figures. Pure.
class LegCourse {
 public:
  LegCourse(const v1::Experiment& experiment, LegFacts facts);

  const LegFacts& facts() const { return facts_; }
  const PlanFactory& plans() const { return plans_; }
  const Selection& selection() const { return selection_; }
  std::uint64_t committed() const { return committed_; }
  /// Number of the training round that follows: spent ones have used up theirs.
  std::uint64_t next_round() const { return committed_ + spent_ + 1; }
  const std::optional<RoundKey>& head() const { return head_; }
  /// Number of the last committed round; 0 before the first. Without spent rounds, how many.
  std::uint64_t head_round() const { return head_ ? head_->round : 0; }
  std::uint64_t reports() const { return reports_; }
  std::uint64_t dropped() const { return dropped_; }

  /// Bytes to and from the clients for an attempt under this plan, without framing.
  void CountBytes(const RoundPlan& plan, AttemptRecord& record) const;
  /// A training attempt is over: counts it, moves the head if it was committed, and gives its line
  /// of rounds.jsonl.
  RoundRecord TakeTraining(const AttemptRecord& record);
  /// True: better on validation than every round before. Takes the settings that this round's
  /// validation chooses.
  bool TakeValidation(std::uint64_t round, const std::vector<MetricSums>& validation);
  /// Hold-out figures of the round that TakeValidation was told of last.
  void TakeTest(const RoundResult& test, SmallGroups small_groups);
  /// One record for the sum, then one a disclosing client.
  std::vector<EvaluationRecord> Records(std::uint64_t round, bool holdout,
                                        const RoundResult& result) const;

  /// Of the best round; none before the first evaluation.
  const std::optional<Score>& best_score() const { return best_score_; }
  MethodSummary Summary() const;
  /// Checkpoint metadata with the settings that the last validation chose.
  std::map<std::string, std::string> Metadata(std::uint64_t round) const;

 private:
  LegFacts facts_;
  PlanFactory plans_;
  Selection selection_;
  std::uint64_t committed_ = 0, spent_ = 0, reports_ = 0, dropped_ = 0;
  std::optional<RoundKey> head_;
  std::set<ClientId> briefed_;     // have downloaded the assignment
  std::vector<TunedShots> tuned_;  // by the last validation
  bool last_is_best_ = false;
  std::uint64_t best_round_ = 0;
  std::optional<Score> best_score_;
  std::vector<FinalCell> best_cells_;
};

/// Which leg validation prefers so far, of each baseline and over all main legs. Pure.
class Standings {
 public:
  /// The leg at this position of the run has improved. True: it now leads its method.
  bool Take(std::size_t position, const LegCourse& course);
  /// The first until one leads.
  std::size_t best_main() const { return best_main_; }

 private:
  std::map<std::string, Score> best_;  // by baseline method; "": over the main legs
  std::size_t best_main_ = 0;
};

/// What the legs have come to; of each baseline the one that validation prefers, in the order in
/// which the methods ran. Status, reason and times are left to the caller.
RunSummary Summarize(std::span<const LegCourse> courses, std::size_t best_main);

}  // namespace fedmeta
