#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "fedmeta/records/report_data.h"

namespace fedmeta {

// The final figures of a run, as the sentence and the sections of the page pick and word them.
// `data.summary` is set unless a comment says otherwise.

/// "83.8" (percent) or "0.412" (loss).
std::string Figure(const ReportData& data, double value);
/// "83.8 % accuracy", "a loss of 0.412".
std::string Measured(const ReportData& data, double value);
/// "20 held-out sites".
std::string Sites(const ReportData& data, std::uint64_t count);
/// "5 examples a class"; see ShotsText.
std::string Examples(const ReportData& data, std::uint32_t shots);

bool HasFinalFigures(const ReportData& data);  ///< false without a summary
std::set<std::uint32_t> AllShots(const MethodSummary& method);
std::set<std::uint32_t> AllSteps(const MethodSummary& method);
/// Null where there is none; `steps` is beside the point for the tuned cell.
const FinalCell* FindCell(const MethodSummary& method, std::uint32_t shots, bool tuned,
                          std::uint32_t steps);
/// The cell that validation chose, else the one with most steps; null where there is none.
const FinalCell* AdaptedCell(const MethodSummary& method, std::uint32_t shots);
/// Figures of the disclosing clients behind a final cell.
std::map<std::string, double> ByClient(const ReportData& data, const MethodSummary& method,
                                       const FinalCell& cell);
/// 95 % of the mean over clients; 0 where they do not disclose their figures.
double HalfBand(const ReportData& data, const MethodSummary& method, const FinalCell& cell);
/// Null where there is none.
const MethodSummary* BestBaseline(const ReportData& data, std::uint32_t shots);

/// Methods in the order of the page with their colours: the main one and "alone" have the same
/// everywhere.
struct ColoredMethod {
  const MethodSummary* summary;
  int color;
};
std::vector<ColoredMethod> Methods(const ReportData& data);
/// "alone", "FedAvg": fits a legend.
std::string ShortName(const std::string& method);

}  // namespace fedmeta
