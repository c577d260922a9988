#pragma once

#include <memory>
#include <string>
#include <vector>

#include "fedmeta/client/data/partition.h"
#include "fedmeta/client/leg_runtime.h"
#include "fedmeta/configs/plugin_tables.h"
#include "fedmeta/coordinator/leg.h"
#include "fedmeta/core/result.h"
#include "fedmeta/v1/experiment.pb.h"

namespace fedmeta {

/// A site that cannot do what its role asks of it.
struct SkippedSite {
  std::string name;
  std::string reason;
};

/// The data of a simulated experiment: the source, read once, and its division among clients.
struct SimulationData {
  /// Of scheme sites: the first site's, which has the shape of all; the fingerprint is over all.
  OpenedSource source;
  std::unique_ptr<Partition> partition;
  std::vector<SkippedSite> skipped = {};  ///< scheme sites: too small, without part in anything
};
/// Errors: kInvalidArgument with file and record, or the impossible partition. `schema` is for the
/// site files of scheme sites.
Result<SimulationData> OpenSimulationData(const v1::Experiment& experiment,
                                          const DataRegistry& registry, const PluginTables& schema);

/// The generator of one simulated client.
Result<std::unique_ptr<TaskGenerator>> MakeClientTasks(const v1::Experiment& experiment,
                                                       const DataRegistry& registry,
                                                       const SimulationData& data,
                                                       std::size_t client);

/// Every method and setting of the experiment with its layout and initial state: what `fedmeta
/// init` writes and a simulation starts from. Random: stream (seed, "initial_state/<method>"), the
/// same for each setting of a grid. Without `data`, the keys data.input_shape and data.classes must
/// be given.
Result<std::vector<Leg>> PrepareLegs(const v1::Experiment& experiment,
                                     const LearnRegistries& registries, const SimulationData* data);

}  // namespace fedmeta
