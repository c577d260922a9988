#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "fedmeta/algorithms/server/server_registry.h"
#include "fedmeta/client/data/source.h"
#include "fedmeta/client/leg_runtime.h"
#include "fedmeta/core/result.h"
#include "fedmeta/v1/experiment.pb.h"

namespace fedmeta {

/// Something that would leave a site.
struct OutboundField {
  std::string kind;         ///< "update", "weight", "metric sums", "message"
  std::string name;         ///< "maml: layers.0.weight", "ClientHello.version.major"
  std::uint64_t bytes = 0;  ///< each time
  std::uint64_t times = 0;
};

struct RehearsalResult {
  double seconds = 0;
  std::vector<std::pair<std::string, double>> rounds;  ///< leg and seconds of each training round
  std::uint64_t bytes_up = 0, bytes_down = 0;          ///< without framing
  std::vector<OutboundField> fields;
};

struct RehearsalOptions {
  v1::Experiment experiment;
  std::uint64_t rounds = 1;  ///< of each method
  LearnRegistries registries;
  ServerRegistry server;
  std::string site;
  OpenedSource source;  ///< as the client opens it
  OpenedSource read;    ///< the same of ReadTable; let go before the run begins
  std::size_t threads = 0;
  std::filesystem::path state_dir;  ///< the client's
};

/// A run of the experiment with one real client, its data and a real coordinator in this process,
/// without a network: the site is the whole cohort, takes part in training whatever its role, and
/// nothing is masked or noised (privacy is left out), so that every field can be told apart.
/// Errors: a source without rows, tasks that the site cannot form, and what ends the run.
Result<RehearsalResult> Rehearse(RehearsalOptions options);

}  // namespace fedmeta
