#pragma once

#include <span>
#include <string>

#include "fedmeta/records/run_observer.h"
#include "fedmeta/records/run_records.h"

namespace fedmeta {

// Records as the lines and files of the run folder. Numbers that are not finite become null, keys
// that do not apply are left out: accuracies in regression, reasons where there are none.

/// Of a training round: the mean over examples, or over clients where secure aggregation leaves out
/// how many examples each has. Not a number where there are none.
double TrainingLoss(const MetricSums& sums);
double TrainingAccuracy(const MetricSums& sums);

/// One line of rounds.jsonl with its newline.
std::string RoundLine(const RoundRecord& record, bool classification);
/// Lines of evaluation.jsonl: one object a client and cell.
std::string EvaluationLines(const EvaluationRecord& record, bool classification);
/// summary.json.
std::string SummaryText(const RunHeading& heading, const RunSummary& summary);

/// The header line of metrics.csv.
std::string MetricsHeader();
/// Rows of metrics.csv.
std::string RoundRows(const RoundRecord& record, const std::string& method, bool classification);
std::string EvaluationRows(const EvaluationRecord& record, bool classification);

}  // namespace fedmeta
