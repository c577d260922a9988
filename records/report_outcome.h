#pragma once

#include <string>

#include "fedmeta/records/report.h"
#include "fedmeta/records/report_data.h"

namespace fedmeta {

// What the run came to: the sentence and the figures on hold-out sites. Sections are HTML; where a
// figure cannot be drawn they say why.

RunResult Outcome(const ReportData& data);
/// Accuracy against adaptation steps, with the baselines.
std::string WorthSection(const ReportData& data);
/// AUC, log-loss, Brier score and calibration of the adapted models; empty where there are none.
std::string ScoresSection(const ReportData& data);
/// Before and after, per site.
std::string SitesSection(const ReportData& data);
/// Accuracy against examples at the new site.
std::string ExamplesSection(const ReportData& data);

}  // namespace fedmeta
