#pragma once

#include <memory>
#include <vector>

#include "fedmeta/client/data/partition.h"
#include "fedmeta/client/leg_runtime.h"
#include "fedmeta/coordinator/leg.h"
#include "fedmeta/core/result.h"
#include "fedmeta/v1/experiment.pb.h"

namespace fedmeta {

/// The data of a simulated experiment: the source, read once, and its division among clients.
struct SimulationData {
  OpenedSource source;
  std::unique_ptr<Partition> partition;
};
/// Errors: kInvalidArgument with file and record, or the impossible partition.
Result<SimulationData> OpenSimulationData(const v1::Experiment& experiment,
                                          const DataRegistry& registry);

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
