#include <cstdio>
#include <optional>
#include <string>
#include <vector>

#include "fedmeta/cli/experiment_digest.h"
#include "fedmeta/cli/learn_commands.h"
#include "fedmeta/configs/loader.h"
#include "fedmeta/core/text.h"
#include "fedmeta/simulator/prepare.h"

namespace fedmeta {
namespace {

struct InitArguments {
  std::string experiment, out;
  std::vector<std::string> overrides;
};

Status Init(const LearnProgram& program, const InitArguments& arguments) {
  FEDMETA_ASSIGN_OR_RETURN(
      const auto experiment,
      Loader(program.schema)
          .LoadExperiment(arguments.experiment, arguments.overrides, Loader::RunKind::kLive));
  std::optional<SimulationData> data;
  // What a table's columns make is known without it, also where only the sites have their data.
  if (experiment->data().has_source() && experiment->data().features().empty()) {
    FEDMETA_ASSIGN_OR_RETURN(
        data, OpenSimulationData(*experiment, program.registries.data, program.schema));
  }
  FEDMETA_ASSIGN_OR_RETURN(const std::vector<Leg> legs,
                           PrepareLegs(*experiment, program.registries, data ? &*data : nullptr));
  for (const v1::Plugin& baseline : experiment->evaluation().baselines()) {
    FEDMETA_ASSIGN_OR_RETURN(const auto learner,
                             MakeMetaLearner(program.registries.algorithms, baseline));
    if (!learner->pools()) continue;
    return Error(ErrorCode::kInvalidArgument,
                 "evaluation.baselines: " + baseline.name() +
                     " needs the rows of all sites in one place, which only a simulation has: "
                     "remove it for a live federation");
  }
  FEDMETA_RETURN_IF_ERROR(
      WriteLegs(arguments.out, legs, InitialStateDigest(*experiment, program.schema)));
  std::printf("wrote %s\n", arguments.out.c_str());
  for (const Leg& leg : legs)
    std::printf("  %-16s %s coordinates\n", leg.name.c_str(),
                FormatCount(leg.layout.size()).c_str());
  return {};
}

}  // namespace

Command InitCommand(const LearnProgram& program) {
  return {.name = "init",
          .description = "Make the initial state that a coordinator starts from.",
          .example = "fedmeta init experiment.yaml --out initial.safetensors",
          .setup = [program](CLI::App& app) -> std::function<int()> {
            const auto arguments = std::make_shared<InitArguments>();
            app.add_option("experiment", arguments->experiment, "EXPERIMENT.yaml")->required();
            app.add_option("overrides", arguments->overrides, "key.path=value ...");
            app.add_option("--out", arguments->out, "File to write")->required();
            return [program, arguments] {
              const Status status = Init(program, *arguments);
              return status.ok() ? 0 : ReportError(status.error());
            };
          }};
}

}  // namespace fedmeta
