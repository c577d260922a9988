#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <stop_token>
#include <string>

#include "fedmeta/client/data/source.h"
#include "fedmeta/client/leg_runtime.h"
#include "fedmeta/client/secure_site.h"
#include "fedmeta/core/clock.h"
#include "fedmeta/core/logger.h"
#include "fedmeta/core/result.h"
#include "fedmeta/site/audit_witness.h"
#include "fedmeta/site/site_control.h"
#include "fedmeta/transport/coordinator_link.h"
#include "fedmeta/v1/policy.pb.h"
#include "fedmeta/v1/round.pb.h"

namespace fedmeta {

/// One data set that a site offers to experiments.
struct SiteSource {
  OpenedSource source;
  v1::Role role = v1::ROLE_TRAIN;
};

/// A live client: asks for instructions, downloads, trains, uploads, until the coordinator says
/// that all is done. A broken connection stops no local work: calls retry inside the link, and a
/// plan that closed meanwhile is simply left. A further attempt at the same work, as after a
/// restart of the coordinator, is answered with the result at hand. Only what the site allows is
/// done, and nothing is read for what it does not.
class ClientRunner {
 public:
  struct Options {
    std::string name;  ///< of the identity; names the random streams
    LearnRegistries registries;
    std::map<std::string, SiteSource> data;  ///< by what experiments call data.name
    std::size_t threads = 0;                 ///< 0: one a core
    /// Receives figures.jsonl (this site's own figures), outbound.jsonl (what leaves, one line
    /// before each upload and each step of a secure session), privacy_ledger.jsonl
    /// (SitePrivacyLedger), kept/ (ClientStateStore) and openings/ (SecureSite).
    std::filesystem::path state_dir;
    /// For each data set, over all experiments; what would pass it is declined. Nothing: no limit.
    std::optional<v1::EpsilonBudget> epsilon_budget = {};
    /// Remembers the coordinator and countersigns its audit record; null (tests): nobody does.
    AuditWitness* witness = nullptr;
    /// None: experiments under secure aggregation are refused.
    std::optional<SecureIdentity> secure = {};
  };
  /// `control`: what this site takes part in; it is asked before anything else happens.
  ClientRunner(Options options, SiteControl& control, CoordinatorLink& link, const Clock& clock,
               Logger& logger);
  ~ClientRunner();
  ClientRunner(const ClientRunner&) = delete;
  ClientRunner& operator=(const ClientRunner&) = delete;

  /// Returns when all is done or this site has left (success), when the federation failed
  /// (kFederationFailed with the coordinator's reason), on a final refusal, or when asked to stop
  /// (kCancelled; what was trained is uploaded first if the connection stands). kPermissionDenied
  /// at the end where this site's privacy budget did not last.
  Status Run(std::stop_token stop);

 private:
  class Implementation;
  std::unique_ptr<Implementation> implementation_;
};

}  // namespace fedmeta
