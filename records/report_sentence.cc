#include <algorithm>
#include <cmath>

#include "fedmeta/core/bootstrap.h"
#include "fedmeta/core/rng.h"
#include "fedmeta/core/text.h"
#include "fedmeta/records/report_figures.h"
#include "fedmeta/records/report_html.h"
#include "fedmeta/records/report_outcome.h"
#include "fedmeta/records/words.h"

namespace fedmeta {
namespace {

std::string ComparisonText(const ReportData& data, const RunResult& result) {
  const double scale = data.classification ? 100 : 1;
  const int digits = data.classification ? 1 : 3;
  const std::string unit = data.classification ? " points" : "";
  const auto amount = [&](double value) { return Fixed(scale * value, digits); };
  const std::string baseline = "the best baseline (" + result.baseline + ", " +
                               Figure(data, *result.baseline_value) +
                               (data.classification ? " %)" : ")");
  if (!result.difference) {
    const double difference = *result.value - *result.baseline_value;
    return amount(std::fabs(difference)) + unit + (difference >= 0 ? " above " : " below ") +
           baseline +
           "; the uncertainty is unknown, because sites do not disclose their own figures";
  }
  const auto interval = [&](double from, double to) {
    return "95 % interval over sites " + amount(from) + " to " + amount(to);
  };
  if (*result.low <= 0 && *result.high >= 0)
    return "not distinguishable from " + baseline + ": difference " + amount(*result.difference) +
           unit + ", " + interval(*result.low, *result.high);
  const bool above = *result.difference > 0;
  return amount(std::fabs(*result.difference)) + unit + (above ? " above " : " below ") + baseline +
         ", " +
         (above ? interval(*result.low, *result.high) : interval(-*result.high, -*result.low)) +
         (above == data.classification ? "" : ": the baseline is better");
}

}  // namespace

RunResult Outcome(const ReportData& data) {
  RunResult result;
  result.metric = data.classification ? "accuracy" : "loss";
  if (!data.summary) {
    std::uint64_t done = 0;
    for (const RoundLineData& round : data.rounds)
      if (round.leg == data.main_leg && round.committed) done = std::max(done, round.round);
    result.status = "running";
    result.sentence = "This run has not finished: " + FormatCount(done) + " of " +
                      Counted(data.rounds_planned, "round", "rounds") +
                      " done when this page was made.";
    return result;
  }
  const RunSummary& summary = *data.summary;
  result.status = RunStatusName(summary.status);
  if (!HasFinalFigures(data)) {
    result.sentence = "The run " +
                      std::string(summary.status == RunStatus::kCompleted ? "completed" : "ended") +
                      " after " + Counted(summary.rounds, "round", "rounds") +
                      (summary.reason.empty() ? std::string() : " (" + summary.reason + ")") +
                      " without final figures.";
    return result;
  }
  result.shots = summary.main.cells.front().shots;
  const FinalCell& cell = *AdaptedCell(summary.main, result.shots);
  result.method = MethodName(summary.main.method);
  result.clients = cell.clients;
  result.steps = cell.steps;
  result.value = data.Value(cell);
  result.sentence = "At " + Sites(data, cell.clients) + " with " + Examples(data, result.shots) +
                    ", " + result.method + " reaches " + Measured(data, *result.value) +
                    " after adaptation";
  if (const MethodSummary* baseline = BestBaseline(data, result.shots)) {
    const FinalCell& other = *AdaptedCell(*baseline, result.shots);
    result.baseline = MethodName(baseline->method);
    result.baseline_value = data.Value(other);
    const std::map<std::string, double> ours = ByClient(data, summary.main, cell);
    const std::map<std::string, double> theirs = ByClient(data, *baseline, other);
    std::vector<double> differences;
    for (const auto& [client, value] : ours)
      if (const auto found = theirs.find(client); found != theirs.end())
        differences.push_back(value - found->second);
    if (differences.size() >= 2) {
      // The same figures on every machine.
      Rng rng(StreamName{.seed = 0, .purpose = "report-bootstrap"});
      const Interval interval = BootstrapMean(differences, rng);
      result.difference = interval.mean;
      result.low = interval.low;
      result.high = interval.high;
    }
    result.sentence += ", " + ComparisonText(data, result);
  } else {
    result.sentence += "; there is no baseline to compare with";
  }
  result.sentence += ".";
  if (summary.tested_on_training_sites)
    result.sentence +=
        " These are the sites that trained, on examples they may have trained on: only a site that "
        "never took part shows what a new one gains (fedmeta adapt).";
  return result;
}

}  // namespace fedmeta
