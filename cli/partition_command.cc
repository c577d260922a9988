#include <cstdio>
#include <string>
#include <vector>

#include "fedmeta/cli/learn_commands.h"
#include "fedmeta/configs/loader.h"
#include "fedmeta/core/file.h"
#include "fedmeta/simulator/prepare.h"

namespace fedmeta {
namespace {

struct PartitionArguments {
  std::string experiment, out, coordinator = "localhost:8443";
  std::vector<std::string> overrides;
};

Status WriteSites(const LearnProgram& program, const PartitionArguments& arguments) {
  FEDMETA_ASSIGN_OR_RETURN(
      const auto experiment,
      Loader(program.schema).LoadExperiment(arguments.experiment, arguments.overrides));
  FEDMETA_ASSIGN_OR_RETURN(
      const SimulationData data,
      OpenSimulationData(*experiment, program.registries.data, program.schema));
  FEDMETA_RETURN_IF_ERROR(MakeWritableFolder(arguments.out));
  FEDMETA_RETURN_IF_ERROR(WritePartition(*experiment, data.source, *data.partition,
                                         arguments.coordinator, arguments.out));
  std::printf("wrote %zu sites below %s\n", data.partition->clients(), arguments.out.c_str());
  for (std::size_t i = 0; i < data.partition->clients(); ++i) {
    FEDMETA_ASSIGN_OR_RETURN(const DatasetView view, data.partition->view(i));
    const v1::Role role = data.partition->role(i);
    std::printf("  %-16s %-10s %zu examples\n", data.partition->name(i).c_str(),
                role == v1::ROLE_TRAIN        ? "train"
                : role == v1::ROLE_VALIDATION ? "validation"
                                              : "holdout",
                view.size());
  }
  return {};
}

}  // namespace

Command PartitionCommand(const LearnProgram& program) {
  return {.name = "partition",
          .description =
              "Write the clients of a simulated experiment as separate sites, so that the same "
              "federation runs live.",
          .example = "fedmeta partition experiment.yaml --out sites --coordinator localhost:8443",
          .setup = [program](CLI::App& app) -> std::function<int()> {
            const auto arguments = std::make_shared<PartitionArguments>();
            app.add_option("experiment", arguments->experiment, "EXPERIMENT.yaml")->required();
            app.add_option("overrides", arguments->overrides, "key.path=value ...");
            app.add_option("--out", arguments->out, "Folder to write the sites into")->required();
            app.add_option("--coordinator", arguments->coordinator, "Address for the client files")
                ->capture_default_str();
            return [program, arguments] {
              const Status status = WriteSites(program, *arguments);
              return status.ok() ? 0 : ReportError(status.error());
            };
          }};
}

}  // namespace fedmeta
