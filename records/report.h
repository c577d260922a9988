#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "fedmeta/core/result.h"

namespace fedmeta {

/// One self-contained HTML page out of a run folder's files (see contract.md, report.html). Works
/// on a run that is still going or failed. `summary_file`: of the folder; a run that is finishing
/// has its summary under another name until the page is on disk.
Result<std::string> MakeReport(const std::filesystem::path& run_dir,
                               const std::string& summary_file = "summary.json");

/// What a run came to, in a sentence and in figures: the main method against the best baseline at
/// the first shots, adapted with the settings that validation chose (with the most steps where none
/// were chosen).
struct RunResult {
  std::string status;  ///< as in summary.json; "running" without one
  std::string sentence;
  std::string method, baseline;  ///< empty where there are no final figures, no baseline
  std::string metric;            ///< "accuracy" or "loss"
  std::uint32_t clients = 0, shots = 0, steps = 0;
  std::optional<double> value, baseline_value;
  /// Main minus baseline, paired over clients, with a bootstrap interval of 95 %. Null: fewer than
  /// two clients disclose their figures.
  std::optional<double> difference, low, high;
};
Result<RunResult> ReadRunResult(const std::filesystem::path& run_dir);

}  // namespace fedmeta
