#include "fedmeta/cli/simulated_run.h"

#include <cstdio>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <unistd.h>
#include <vector>

#include "fedmeta/algorithms/server/aggregation_check.h"
#include "fedmeta/cli/blas.h"
#include "fedmeta/cli/machine_facts.h"
#include "fedmeta/cli/run_description.h"
#include "fedmeta/cli/run_heading.h"
#include "fedmeta/configs/loader.h"
#include "fedmeta/coordinator/round_store.h"
#include "fedmeta/core/text.h"
#include "fedmeta/protocol/version.h"
#include "fedmeta/records/progress.h"
#include "fedmeta/records/run_folder.h"
#include "fedmeta/simulator/simulation.h"

namespace fedmeta {
namespace {

/// Where a run's store lies in its folder.
constexpr char kStoreFile[] = "store.db";

Status CheckThereIsARun(const RunRequest& request) {
  if (request.out.empty()) {
    return Error(ErrorCode::kInvalidArgument, "--resume: name the run's folder with --out");
  }
  const std::filesystem::path path = std::filesystem::path(request.out) / kStoreFile;
  if (std::filesystem::exists(path)) return {};
  return Error(ErrorCode::kInvalidArgument, "--resume: no run to go on with, " + path.string() +
                                                " is missing: leave --resume out to begin one");
}

/// One line a reason: of many sites that are too small each would say the same.
void Warn(const std::vector<SkippedSite>& skipped, const RunRequest& request) {
  std::map<std::string, std::vector<std::string>> sites;
  for (const SkippedSite& site : skipped) sites[site.reason].push_back(site.name);
  for (const auto& [reason, names] : sites) {
    const std::string who = names.size() == 1 ? "site " + names.front() + " takes"
                                              : std::to_string(names.size()) + " sites take";
    request.warn(who + " no part: " + reason +
                 (names.size() == 1 ? "" : " (" + Join(names, ", ") + ")"));
  }
}

}  // namespace

void PrintWarning(const std::string& text) {
  std::fprintf(stderr, "fedmeta: warning: %s\n", text.c_str());
}

Result<RunSummary> RunSimulated(const LearnProgram& program, const RunRequest& request,
                                std::stop_token stop) {
  const SystemClock clock;
  if (request.resume) FEDMETA_RETURN_IF_ERROR(CheckThereIsARun(request));
  const Loader loader(program.schema);
  FEDMETA_ASSIGN_OR_RETURN(const auto experiment,
                           loader.LoadExperiment(request.experiment, request.overrides));
  FEDMETA_RETURN_IF_ERROR(CheckAggregation(program.server, *experiment));
  FEDMETA_ASSIGN_OR_RETURN(
      const SimulationData data,
      OpenSimulationData(*experiment, program.registries.data, program.schema));
  Warn(data.skipped, request);
  FEDMETA_ASSIGN_OR_RETURN(std::vector<Leg> legs,
                           PrepareLegs(*experiment, program.registries, &data));

  const std::filesystem::path out = request.out.empty()
                                        ? DefaultRunFolder(experiment->name(), clock)
                                        : std::filesystem::path(request.out);
  const std::size_t threads = experiment->threads() != 0
                                  ? experiment->threads()
                                  : std::max(1U, std::thread::hardware_concurrency());
  const RunHeading heading = MakeHeading(*experiment, legs, out);
  const ExperimentId run(experiment->name());
  const RunDescription description{.experiment = PrintYaml(*experiment, program.schema),
                                   .initial_state = InitialStateHex(legs),
                                   .data = data.source.fingerprint.hex(),
                                   .out = out};
  const auto open_store = [&] { return OpenSqliteStore(out / kStoreFile, Durability::kProcess); };
  std::unique_ptr<RoundStore> store;
  if (request.resume) {
    FEDMETA_ASSIGN_OR_RETURN(store, open_store());
    FEDMETA_ASSIGN_OR_RETURN(const auto before, ReadDescription(*store, run));
    if (before) FEDMETA_RETURN_IF_ERROR(CheckResumable(*before, description, program.schema));
  }

  // Everything that can be known to fail is known before the folder is made.
  std::vector<std::unique_ptr<RunObserver>> observers;
  FEDMETA_ASSIGN_OR_RETURN(
      auto folder,
      RunFolder::Create({.dir = out,
                         .resume = request.resume,
                         .experiment_yaml = description.experiment,
                         .manifest = {.protocol = ProtocolVersionText(),
                                      .blas = BlasName(),
                                      .libtorch = LibTorchVersion(),
                                      .threads = static_cast<std::uint32_t>(threads),
                                      .seed = experiment->seed(),
                                      .data_fingerprints = {{experiment->data().name(),
                                                             data.source.fingerprint.hex()}},
                                      .mode = "simulation"}},
                        clock));
  observers.push_back(std::move(folder));
  if (request.show_progress)
    observers.push_back(
        MakeProgressDisplay(stdout, isatty(STDOUT_FILENO) == 1, MachineLine(threads), clock));
  const std::unique_ptr<RunObserver> observer = MakeObserverChain(std::move(observers));

  if (store == nullptr) {
    FEDMETA_ASSIGN_OR_RETURN(store, open_store());
  }
  FEDMETA_ASSIGN_OR_RETURN(OpenedRun opened, OpenRun(*store, run, Interrupted::kEnd));
  FEDMETA_RETURN_IF_ERROR(WriteDescription(*store, opened.lease, description));
  Simulation simulation({.experiment = *experiment,
                         .legs = std::move(legs),
                         .registries = program.registries,
                         .server = program.server},
                        std::move(opened), data, *store, *observer, clock);
  FEDMETA_RETURN_IF_ERROR(simulation.Check());
  FEDMETA_RETURN_IF_ERROR(observer->Started(heading));
  return simulation.Run(stop);
}

}  // namespace fedmeta
