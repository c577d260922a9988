#include <memory>

#include "fedmeta/cli/learn_commands.h"
#include "fedmeta/cli/machine_facts.h"
#include "fedmeta/cli/run_heading.h"
#include "fedmeta/cli/simulated_run.h"
#include "fedmeta/cli/stop_signal.h"

namespace fedmeta {

Command RunCommand(const LearnProgram& program) {
  return {.name = "run",
          .description = "Simulate a federation on this machine.",
          .example =
              "fedmeta run configs/experiments/sinusoid_maml.yaml seed=7 federation.rounds=500 "
              "--out runs/first",
          .setup = [program](CLI::App& app) -> std::function<int()> {
            const auto request = std::make_shared<RunRequest>();
            const auto json = std::make_shared<bool>(false);
            app.add_option("experiment", request->experiment, "EXPERIMENT.yaml")->required();
            app.add_option("overrides", request->overrides, "key.path=value ...");
            app.add_option("--out", request->out, "Run folder (default runs/<name>-<UTC time>)");
            app.add_flag("--resume", request->resume, "Go on with the run in --out where it ended");
            app.add_flag("--json", *json, "Print the summary as JSON instead of progress");
            return [program, request, json] {
              WarnOfSlowBlas();
              request->show_progress = !*json;
              const StopSignal stop;
              const Result<RunSummary> summary = RunSimulated(program, *request, stop.token());
              if (!summary.ok()) return ReportError(summary.error(), *json);
              return FinishRun(*summary, *json);
            };
          }};
}

}  // namespace fedmeta
