#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "fedmeta/algorithms/server/server_registry.h"
#include "fedmeta/coordinator/audit_log.h"
#include "fedmeta/coordinator/experiment_engine.h"
#include "fedmeta/coordinator/leg.h"
#include "fedmeta/coordinator/round_store.h"
#include "fedmeta/coordinator/round_writer.h"
#include "fedmeta/core/clock.h"
#include "fedmeta/core/logger.h"
#include "fedmeta/core/result.h"
#include "fedmeta/records/run_observer.h"
#include "fedmeta/transport/coordinator_endpoint.h"
#include "fedmeta/v1/coordinator.pb.h"
#include "fedmeta/v1/experiment.pb.h"
#include "fedmeta/v1/round.pb.h"

namespace fedmeta {

/// Runs one experiment over live clients: maps the engine's instructions to threads (one Asio
/// strand, one store thread, one work thread) and is the endpoint that the transport server calls.
/// Its twin in the simulator runs everything on the calling thread.
class LiveCoordinator : public CoordinatorEndpoint {
 public:
  struct Options {
    v1::Experiment experiment;
    v1::Limits limits;
    std::vector<Leg> legs;
    ServerRegistry registry;
    /// Of secure aggregation: who takes part, by the authority's word.
    SecureParties parties = {};
    /// Hears, on the store thread, how long each write to the store took, and whether it succeeded.
    std::function<void(Duration took, bool ok)> stored = {};
    /// Borrowed; null (tests): nothing is recorded.
    AuditLog* audit = nullptr;
    std::string epoch = {};        ///< v1::SignedEpoch of a restored coordinator
    std::string endorsement = {};  ///< v1::Endorsement; empty: no researcher has signed it
  };
  /// `run`: of OpenRun on this store; kDataLoss when its history does not fit. Everything borrowed
  /// outlives it.
  static Result<std::unique_ptr<LiveCoordinator>> Create(Options options, OpenedRun run,
                                                         RoundStore& store, RunObserver& observer,
                                                         const Clock& clock, Logger& logger);

  /// What a status page shows of this moment.
  struct Vitals {
    std::map<v1::Role, std::size_t> clients;
    std::size_t staging_slots_in_use = 0;
  };

  virtual void Start() = 0;
  /// Thread-safe.
  virtual Vitals vitals() const = 0;
  /// Calls `answered` on the engine's strand: it does not come while that is stuck. Thread-safe.
  virtual void Probe(std::function<void()> answered) = 0;
  /// Thread-safe: SIGTERM and Ctrl-C.
  virtual void Cancel(const std::string& reason, bool interrupted) = 0;
  /// Blocks until the summary is on disk and every client has heard that all is done (or
  /// `farewell_ms` passed). The run's outcome.
  virtual Result<RunSummary> Wait(int farewell_ms) = 0;
};

}  // namespace fedmeta
