#pragma once

#include <filesystem>
#include <optional>
#include <span>
#include <string>

#include "fedmeta/configs/plugin_tables.h"
#include "fedmeta/coordinator/leg.h"
#include "fedmeta/coordinator/round_store.h"
#include "fedmeta/core/ids.h"
#include "fedmeta/core/result.h"

namespace fedmeta {

/// What makes a run the same run when it goes on: kept in its store.
struct RunDescription {
  std::string experiment;     ///< resolved, as PrintYaml writes it
  std::string initial_state;  ///< digest over the legs' initial states
  std::string data;           ///< simulation: the source's fingerprint
  std::filesystem::path out;  ///< its run folder
};

std::string InitialStateHex(std::span<const Leg> legs);

/// Nothing: the store has no such run.
Result<std::optional<RunDescription>> ReadDescription(RoundStore& store, const ExperimentId& run);
Status WriteDescription(RoundStore& store, const Lease& lease, const RunDescription& description);

/// kInvalidArgument with every difference that a resumed run may not have. Changeable are keys
/// marked so in the schema, and paths; rounds only upwards, and not under a learning-rate schedule,
/// which is laid over all of them.
Status CheckResumable(const RunDescription& before, const RunDescription& now,
                      const PluginTables& tables);

}  // namespace fedmeta
