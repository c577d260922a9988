#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "fedmeta/core/digest.h"
#include "fedmeta/core/result.h"
#include "fedmeta/core/state_layout.h"
#include "fedmeta/v1/plugin.pb.h"

namespace fedmeta {

/// One method with one setting: the main algorithm, one entry of its grid, or a baseline. Legs run
/// one after the other over the same sites; each has its own rounds, layout and state.
struct Leg {
  std::string name;    ///< "maml", "fedavg-2" (the grid's second setting)
  std::string method;  ///< the algorithm's name
  bool main = false;
  bool trains = true;      ///< false: `local`, evaluated only
  std::string assignment;  ///< serialised v1::Assignment; plans name its digest
  StateLayout layout;
  std::vector<float> initial_state;
  double maximum_weight = 1;
  /// MetaLearner::default_adaptation_rate(): evaluations use it where the experiment names no
  /// learning_rates.
  double adaptation_rate = 0.1;
  v1::Plugin aggregation;  ///< the experiment's
  v1::Plugin optimizer;    ///< the experiment's for main legs; sgd at rate 1 for baselines
};

/// `fedmeta init` writes, `fedmeta coordinator` reads: a safetensors file whose metadata holds
/// layouts and assignments.
Status WriteLegs(const std::filesystem::path& path, std::span<const Leg> legs,
                 const Digest& experiment);
/// Refuses a file made from another experiment (digest of the resolved file), with what to do.
Result<std::vector<Leg>> ReadLegs(const std::filesystem::path& path, const Digest& experiment);

}  // namespace fedmeta
