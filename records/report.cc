#include "fedmeta/records/report.h"

#include "fedmeta/core/clock.h"
#include "fedmeta/core/text.h"
#include "fedmeta/records/report_charts.h"
#include "fedmeta/records/report_course.h"
#include "fedmeta/records/report_data.h"
#include "fedmeta/records/report_html.h"
#include "fedmeta/records/report_outcome.h"
#include "fedmeta/records/report_privacy.h"
#include "fedmeta/records/words.h"

namespace fedmeta {
namespace {

std::string Fact(const std::string& name, const std::string& value, bool bad = false) {
  return "<div><dt>" + Escaped(name) + "</dt><dd" + (bad ? " class=\"status-bad\"" : "") + ">" +
         Escaped(value) + "</dd></div>";
}

std::string Facts(const ReportData& data, const RunResult& result) {
  std::string status = result.status;
  std::string clients = FormatCount(data.clients);
  if (data.holdout_clients > 0)
    clients += ", of which " + FormatCount(data.holdout_clients) + " held out";
  std::string html = "<dl class=\"facts\">";
  if (data.summary && !data.summary->reason.empty()) status += ": " + data.summary->reason;
  html += Fact("status", status, data.summary && data.summary->status != RunStatus::kCompleted);
  html += Fact("sites", clients);
  html += Fact("model", data.model + ", " + FormatCount(data.parameters) + " parameters");
  html += Fact("method", data.algorithm);
  if (data.summary) {
    html += Fact("rounds",
                 FormatCount(data.summary->rounds) + " of " + FormatCount(data.rounds_planned));
    html += Fact("reports", FormatCount(data.summary->reports) + ", " +
                                FormatCount(data.summary->dropped) + " dropped");
    html += Fact("time", FormatDuration(data.summary->wall_s));
  }
  html += Fact("seed", std::to_string(data.seed) + " (one run)");
  html += Fact("mode", data.live ? "live federation" : "simulation");
  return html + "</dl>";
}

/// "71.2 %" does not break at the end of a line.
std::string Unbroken(std::string text) {
  for (std::size_t at = text.find(" %"); at != std::string::npos; at = text.find(" %", at))
    text.replace(at, 1, "\u00a0");
  return text;
}

std::string Appendix(const ReportData& data) {
  std::string html =
      "<section><h2>With which settings?</h2><p class=\"answer\">Every key with "
      "its effective value; running this file again gives the same result.</p>";
  html += data.experiment_yaml.empty()
              ? "<p class=\"answer\">experiment.yaml is missing from the run folder.</p>"
              : "<pre>" + Escaped(data.experiment_yaml) + "</pre>";
  html +=
      "</section>\n<section><h2>On what, and from which data?</h2><table "
      "class=\"manifest\"><tbody>";
  for (const auto& [name, value] : data.manifest) {
    if (name.starts_with("checkpoints.round-")) continue;  // many, and in manifest.json
    html += "<tr><th scope=\"row\">" + Escaped(name) + "</th><td>" + Escaped(value) + "</td></tr>";
  }
  return html + "</tbody></table></section>\n";
}

/// Members of the smallest sum that was opened; nothing: sums were plain.
std::optional<std::size_t> SmallestSum(const ReportData& data) {
  std::optional<std::size_t> smallest;
  for (const RoundLineData& round : data.rounds) {
    if (round.smallest_sum && (!smallest || *round.smallest_sum < *smallest))
      smallest = round.smallest_sum;
  }
  return smallest;
}

std::string AggregationText(const ReportData& data) {
  if (!data.robust_aggregation.empty())
    return "robust aggregation by " + data.robust_aggregation + ", without secure aggregation";
  return SmallestSum(data) ? "secure aggregation" : "plain sums; secure aggregation not used";
}

std::string WhatIsSeen(const ReportData& data) {
  const std::optional<std::size_t> smallest = SmallestSum(data);
  if (!data.robust_aggregation.empty())
    return "The coordinator looks at each site\u2019s update: individual updates are visible.";
  if (!smallest) return "The coordinator sees each site\u2019s update.";
  return "The coordinator sees sums of groups of sites, the smallest of " +
         std::to_string(*smallest) + ".";
}

}  // namespace

Result<std::string> MakeReport(const std::filesystem::path& run_dir,
                               const std::string& summary_file) {
  FEDMETA_ASSIGN_OR_RETURN(const ReportData data, ReadReportData(run_dir, summary_file));
  const RunResult result = Outcome(data);
  std::string html =
      "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"/>"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/><title>" +
      Escaped(data.experiment) + " \u2013 fedmeta</title><style>" + std::string(ReportStyle()) +
      "</style></head>\n<body><main><h1>" + Escaped(data.experiment) + "</h1><p class=\"result\">" +
      Escaped(Unbroken(result.sentence)) + "</p>";
  html += Facts(data, result);
  html += "<p class=\"privacy\">Privacy: " + AggregationText(data) + ", " +
          Escaped(DifferentialPrivacyText(data)) + ". " + WhatIsSeen(data) + "</p>\n";
  html += WorthSection(data) + ScoresSection(data) + SitesSection(data) + ExamplesSection(data);
  html += ConvergenceSection(data) + ParticipationSection(data) + TimeSection(data) +
          BytesSection(data) + PrivacySection(data);
  return html + Appendix(data) + "</main></body></html>\n";
}

Result<RunResult> ReadRunResult(const std::filesystem::path& run_dir) {
  FEDMETA_ASSIGN_OR_RETURN(const ReportData data, ReadReportData(run_dir));
  return Outcome(data);
}

}  // namespace fedmeta
