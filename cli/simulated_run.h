#pragma once

#include <functional>
#include <stop_token>
#include <string>
#include <vector>

#include "fedmeta/cli/learn_main.h"
#include "fedmeta/core/result.h"
#include "fedmeta/records/run_records.h"

namespace fedmeta {

/// On standard error.
void PrintWarning(const std::string& text);

struct RunRequest {
  std::string experiment;  ///< EXPERIMENT.yaml
  std::string out;         ///< run folder; empty: the default one
  std::vector<std::string> overrides;
  bool resume = false;
  bool show_progress = true;  ///< on standard output
  std::function<void(const std::string&)> warn = PrintWarning;
};

/// Simulates one experiment into its run folder. Several may run at a time, on threads of their
/// own.
Result<RunSummary> RunSimulated(const LearnProgram& program, const RunRequest& request,
                                std::stop_token stop);

}  // namespace fedmeta
