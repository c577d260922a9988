#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "fedmeta/records/run_observer.h"
#include "fedmeta/records/run_records.h"

namespace fedmeta {

// What the progress display says, as text without newlines; where and when it is printed is
// progress.cc's business.

/// The lines that begin a run, at most `width` characters each where words allow.
std::vector<std::string> HeadingLines(const RunHeading& heading, const std::string& machine,
                                      std::size_t width);

/// How far a leg is.
struct LegProgress {
  std::string leg;           ///< empty: the run's first leg, which needs no name
  std::uint64_t rounds = 0;  ///< to train
  double rounds_per_second = 0, seconds_left = 0;
};
/// "round 100/200  1.1 round/s  1 min 31 s left  loss 0.412  accuracy 84.6 %  10/10 reported", and
/// who was dropped.
std::string PlainRound(const LegProgress& progress, const RoundRecord& record, bool classification);
/// The same with a bar, cut to fewer fields until it fits into `width`.
std::string TerminalRound(const LegProgress& progress, const RoundRecord& record,
                          bool classification, std::size_t width);
/// What a person should see of a round that lost clients or was abandoned; empty otherwise.
std::string RoundIncident(const LegProgress& progress, const RoundRecord& record);

/// Figures of one evaluation, per shots and steps, at the learning rate that validation chose.
struct EvaluationFigures {
  struct Row {
    std::string label;
    std::vector<std::string> values;  ///< by step
  };
  std::string title, long_title;  ///< "evaluation, 20 held-out clients"; with leg and round
  std::vector<std::uint32_t> steps;
  std::vector<Row> rows;
};
/// `records` as RunObserver::Evaluated gets them; `validation`: the latest validation sum of this
/// leg, or null. Empty rows: nothing to show.
EvaluationFigures MakeEvaluationFigures(const RunHeading& heading,
                                        std::span<const EvaluationRecord> records,
                                        const EvaluationRecord* validation,
                                        const LegProgress& progress);
std::vector<std::string> EvaluationTable(const EvaluationFigures& figures, std::size_t width);
std::string EvaluationLine(const EvaluationFigures& figures);

/// Methods x steps at hold-out clients, one table for each number of shots.
std::vector<std::string> ComparisonTable(const RunHeading& heading, const RunSummary& summary);
/// "done in 3 min 4 s: completed, ..." and what to do next.
std::vector<std::string> ClosingLines(const RunHeading& heading, const RunSummary& summary,
                                      std::size_t width);

}  // namespace fedmeta
