#pragma once

#include <memory>
#include <string>

#include "fedmeta/algorithms/meta/meta_registry.h"
#include "fedmeta/algorithms/models/model_registry.h"
#include "fedmeta/client/data/source.h"
#include "fedmeta/core/result.h"
#include "fedmeta/v1/round.pb.h"

namespace fedmeta {

/// The factories that a program was built with.
struct LearnRegistries {
  ModelRegistry models;
  MetaLearnerRegistry algorithms;
  DataRegistry data;
};

/// One leg as a client runs it: the model, algorithm and objective that an assignment names.
/// Immutable, thread-safe; shared by all virtual clients of a simulation.
struct LegRuntime {
  v1::Assignment assignment;
  std::shared_ptr<const Model> model;  ///< as exchanged, `assignment.outputs` outputs
  std::shared_ptr<const Model>
      task_model;  ///< with as many outputs as a task has; the same object where equal
  std::shared_ptr<const MetaLearner> learner;
  StateLayout layout;
  /// Whether query sets are normalised with their own statistics.
  bool transductive = false;
  bool balanced = false;  ///< data.class_weights

  /// Hostile bytes: parses, builds, and refuses a layout fingerprint other than its own. `tasks`
  /// says how many outputs a task needs where it numbers its classes anew; else the model's outputs
  /// are the sites' own labels.
  static Result<std::shared_ptr<const LegRuntime>> Create(const LearnRegistries& registries,
                                                          std::string assignment_bytes,
                                                          const TaskGenerator& tasks);
};

}  // namespace fedmeta
