#pragma once

#include <stop_token>
#include <vector>

#include "fedmeta/algorithms/server/server_registry.h"
#include "fedmeta/client/leg_runtime.h"
#include "fedmeta/coordinator/leg.h"
#include "fedmeta/coordinator/round_store.h"
#include "fedmeta/coordinator/round_writer.h"
#include "fedmeta/core/clock.h"
#include "fedmeta/core/result.h"
#include "fedmeta/records/run_observer.h"
#include "fedmeta/simulator/prepare.h"
#include "fedmeta/v1/experiment.pb.h"

namespace fedmeta {

/// A whole federation in one process: the coordinator's engine and worker, and virtual clients that
/// compute in batches over worker threads. Plans and uploads pass through the same encoding as on
/// the wire, so the result equals the live federation's bit for bit. Memory grows with the part of
/// the cohort that computes at a time, not with the number of clients. Deadlines do not run: a
/// virtual client is done or has failed.
class Simulation {
 public:
  struct Options {
    v1::Experiment experiment;
    std::vector<Leg> legs;
    LearnRegistries registries;
    ServerRegistry server;
  };
  /// `run`: of OpenRun on this store; one with a history goes on. Everything borrowed outlives it.
  Simulation(Options options, OpenedRun run, const SimulationData& data, RoundStore& store,
             RunObserver& observer, const Clock& clock);
  ~Simulation();
  Simulation(const Simulation&) = delete;
  Simulation& operator=(const Simulation&) = delete;

  /// What every client can do is checked before round 1: a client that cannot form its tasks is an
  /// error with the reason.
  Status Check();
  /// The outcome as summarised in the run folder. A stop request ends the run as interrupted, with
  /// everything so far saved.
  Result<RunSummary> Run(std::stop_token stop);

 private:
  class Implementation;
  std::unique_ptr<Implementation> implementation_;
};

}  // namespace fedmeta
