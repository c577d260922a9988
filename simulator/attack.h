#pragma once

#include <cstddef>
#include <memory>
#include <set>
#include <string>

#include "fedmeta/client/data/partition.h"
#include "fedmeta/client/data/task_generator.h"
#include "fedmeta/core/bytes.h"
#include "fedmeta/core/result.h"
#include "fedmeta/core/state_layout.h"
#include "fedmeta/protocol/round_plan.h"
#include "fedmeta/v1/simulated_attack.pb.h"

namespace fedmeta {

/// The malicious sites of a simulation (simulated_attack): the first training clients of the
/// partition. Immutable.
class Attack {
 public:
  Attack() = default;  ///< nobody is malicious
  /// kInvalidArgument: more than there are training clients.
  static Result<Attack> Create(const v1::SimulatedAttack& settings, const Partition& partition);

  bool Poisons(const std::string& client) const { return clients_.contains(client); }
  /// What such a client learns from: with label_flip, labels c -> classes - 1 - c in the query sets
  /// of training tasks and in all examples of those who train without tasks.
  std::unique_ptr<TaskGenerator> Poison(std::unique_ptr<TaskGenerator> tasks) const;
  /// What it sends in a training round in place of its payload: with scale and sign_flip, factor
  /// and -factor times its update.
  Status Poison(const RoundPlan& plan, const StateLayout& layout, Bytes& payload) const;

 private:
  std::set<std::string> clients_;
  double factor_ = 1;
  bool flips_labels_ = false;
};

}  // namespace fedmeta
