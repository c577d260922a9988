#pragma once

#include <string>

#include "fedmeta/records/report_data.h"

namespace fedmeta {

/// One sentence on what differential privacy promises of this run; text.
std::string DifferentialPrivacyText(const ReportData& data);
/// Epsilon against the budget, release by release, all methods together; HTML, empty for a run
/// without an account of its own.
std::string PrivacySection(const ReportData& data);

}  // namespace fedmeta
