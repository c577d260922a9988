#pragma once

#include <nlohmann/json.hpp>

#include "fedmeta/core/metric_sums.h"
#include "fedmeta/records/run_records.h"

namespace fedmeta {

// How good probabilities are, as JSON: for evaluation.jsonl and summary.json.

/// The mean of a sum; NaN, hence null, where nothing was counted.
double MeanOf(double sum, double count);

/// auc, log_loss, brier, ece and positives of one evaluated cell, with its calibration bins where
/// it is summed over clients. auc is null where nobody has both classes.
void AddScores(nlohmann::ordered_json& line, const MetricSums& sums, bool summed);

/// The means of a final cell over clients and over examples; of disclosing clients the worst, and
/// where there are two or more, 95 % bootstrap intervals of the means over clients.
void AddFinalScores(nlohmann::ordered_json& object, const FinalCell& cell, bool classification);

/// One method against another at cells of the same shots: for each figure the mean difference over
/// the clients that both disclose, with its interval, and the share of clients that are worse off
/// with the first. Null where no client is disclosed.
nlohmann::ordered_json Compare(const FinalCell& cell, const FinalCell& other, bool classification);

}  // namespace fedmeta
