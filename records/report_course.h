#pragma once

#include <string>

#include "fedmeta/records/report_data.h"

namespace fedmeta {

// How the run went, round by round, of the main method. Sections are HTML; where a figure cannot be
// drawn they say why.

/// Learning curve with the chosen round.
std::string ConvergenceSection(const ReportData& data);
/// Rounds x sites: who reported, who was dropped and why.
std::string ParticipationSection(const ReportData& data);
/// Seconds a round, stacked by part.
std::string TimeSection(const ReportData& data);
/// Bytes against the floor.
std::string BytesSection(const ReportData& data);

}  // namespace fedmeta
