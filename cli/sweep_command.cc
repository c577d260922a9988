#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include <nlohmann/json.hpp>

#include "fedmeta/cli/learn_commands.h"
#include "fedmeta/cli/machine_facts.h"
#include "fedmeta/cli/simulated_run.h"
#include "fedmeta/cli/stop_signal.h"
#include "fedmeta/cli/sweep_plan.h"
#include "fedmeta/configs/loader.h"
#include "fedmeta/core/file.h"

namespace fedmeta {
namespace {

struct SweepArguments {
  std::string experiment, out;
  std::vector<std::string> settings;
  std::uint32_t jobs = 1;
};

bool IsFinished(const std::filesystem::path& folder) {
  const Result<std::string> text = ReadFile(folder / "summary.json");
  if (!text.ok()) return false;
  const nlohmann::json summary = nlohmann::json::parse(*text, nullptr, /*allow_exceptions=*/false);
  return summary.is_object() && summary.value("status", "") == "completed";
}

/// Runs that share the work; the first error ends the sweep once those under way are over.
class Sweep {
 public:
  Sweep(const LearnProgram& program, const SweepArguments& arguments, std::vector<SweepRun> runs,
        std::stop_token stop)
      : program_(program), arguments_(arguments), runs_(std::move(runs)), stop_(std::move(stop)) {}

  Status Run() {
    std::vector<std::jthread> workers;
    for (std::uint32_t i = 0; i < arguments_.jobs; ++i) workers.emplace_back([this] { Work(); });
    workers.clear();
    if (failure_) return *failure_;
    if (stop_.stop_requested()) {
      return Error(ErrorCode::kCancelled,
                   "interrupted: the same command goes on with what is not finished");
    }
    return {};
  }

 private:
  void Work() {
    while (const SweepRun* run = Next()) {
      const std::filesystem::path folder = std::filesystem::path(arguments_.out) / run->name;
      if (IsFinished(folder)) {
        Say(*run, "finished before");
        continue;
      }
      RunRequest request{.experiment = arguments_.experiment,
                         .out = folder.string(),
                         .overrides = run->overrides,
                         .resume = std::filesystem::exists(folder / "store.db"),
                         .show_progress = false,
                         .warn = [this](const std::string& warning) { WarnOnce(warning); }};
      // Runs beside each other are the better use of the processors.
      if (arguments_.jobs > 1) request.overrides.insert(request.overrides.begin(), "threads=1");
      const Result<RunSummary> summary = RunSimulated(program_, request, stop_);
      if (!summary.ok()) {
        Fail(summary.error().WithContext(run->name));
      } else if (summary->status != RunStatus::kCompleted) {
        Fail(Error(stop_.stop_requested() ? ErrorCode::kCancelled : ErrorCode::kFederationFailed,
                   run->name + ": " + RunStatusName(summary->status) +
                       (summary->reason.empty() ? "" : ": " + summary->reason)));
      } else {
        Say(*run, "completed");
      }
    }
  }

  const SweepRun* Next() {
    const std::scoped_lock lock(mutex_);
    if (failure_ || stop_.stop_requested() || next_ == runs_.size()) return nullptr;
    return &runs_[next_++];
  }
  void Fail(Error error) {
    const std::scoped_lock lock(mutex_);
    if (!failure_) failure_ = std::move(error);
  }
  void Say(const SweepRun& run, const char* what) {
    const std::scoped_lock lock(mutex_);
    std::printf("%zu/%zu  %s  %s\n", ++done_, runs_.size(), run.name.c_str(), what);
    std::fflush(stdout);
  }

  /// Runs of one sweep mostly have the same sites.
  void WarnOnce(const std::string& warning) {
    const std::scoped_lock lock(mutex_);
    if (warned_.insert(warning).second) PrintWarning(warning);
  }

  const LearnProgram& program_;
  const SweepArguments& arguments_;
  const std::vector<SweepRun> runs_;
  const std::stop_token stop_;
  std::mutex mutex_;
  std::size_t next_ = 0, done_ = 0;
  std::set<std::string> warned_;
  std::optional<Error> failure_;
};

Status RunSweep(const LearnProgram& program, const SweepArguments& arguments,
                std::stop_token stop) {
  FEDMETA_ASSIGN_OR_RETURN(std::vector<SweepRun> runs, PlanSweep(arguments.settings));
  // A setting that no run can have is said before the first one starts.
  for (const SweepRun& run : runs) {
    const auto experiment =
        Loader(program.schema).LoadExperiment(arguments.experiment, run.overrides);
    if (!experiment.ok()) return experiment.error();
  }
  WarnOfSlowBlas();
  return Sweep(program, arguments, std::move(runs), std::move(stop)).Run();
}

}  // namespace

Command SweepCommand(const LearnProgram& program) {
  return {.name = "sweep",
          .description = "Simulate the product of settings; what is finished is skipped.",
          .example =
              "fedmeta sweep hospitals.yaml seed=1..20 "
              "data.partition.holdout_sites=[va],[cleveland] --jobs 2 --out runs/hospitals",
          .setup = [program](CLI::App& app) -> std::function<int()> {
            const auto arguments = std::make_shared<SweepArguments>();
            app.add_option("experiment", arguments->experiment, "EXPERIMENT.yaml")->required();
            app.add_option("settings", arguments->settings,
                           "key.path=value,value ... or key.path=first..last");
            app.add_option("--jobs", arguments->jobs, "Runs at a time")->check(CLI::Range(1, 256));
            app.add_option("--out", arguments->out, "Folder of the run folders")->required();
            return [program, arguments] {
              const StopSignal stop;
              const Status status = RunSweep(program, *arguments, stop.token());
              return status.ok() ? 0 : ReportError(status.error());
            };
          }};
}

}  // namespace fedmeta
