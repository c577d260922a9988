#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "fedmeta/core/clock.h"
#include "fedmeta/core/result.h"
#include "fedmeta/records/run_observer.h"

namespace fedmeta {

/// Writes the run folder of the contract: experiment.yaml, manifest.json, rounds.jsonl,
/// evaluation.jsonl, metrics.csv, summary.json, checkpoints/, load.py, report.html, and notes.txt
/// where there was something to note. summary.json comes last: what says "completed" finds
/// checkpoints and report on disk. A crash never leaves a half file under its final name; the
/// growing records are appended to in whole lines, and a line that did not fit is taken back. Not
/// thread-safe.
class RunFolder : public RunObserver {
 public:
  struct Options {
    std::filesystem::path dir = {};  ///< created; refused when it already holds a run
    bool resume = false;  ///< goes on with the run that it holds, if any: its records are replaced
                          ///< by what the history tells, at once at the history's end
    std::string experiment_yaml = {};  ///< resolved
    ManifestFacts manifest = {};
  };
  static Result<std::unique_ptr<RunFolder>> Create(const Options& options, const Clock& clock);
  virtual const std::filesystem::path& dir() const = 0;
};

/// `--out`, or runs/<name>-<UTC time>/ under the current directory.
std::filesystem::path DefaultRunFolder(const std::string& experiment, const Clock& clock);

}  // namespace fedmeta
