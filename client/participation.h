#pragma once

#include <mutex>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <thread>

#include "fedmeta/core/clock.h"
#include "fedmeta/core/logger.h"
#include "fedmeta/core/result.h"
#include "fedmeta/protocol/round_plan.h"
#include "fedmeta/site/site_control.h"
#include "fedmeta/transport/coordinator_link.h"
#include "fedmeta/v1/round.pb.h"

namespace fedmeta {

class SiteRecords;

/// A site's control (SiteControl) as the coordinator gets to know it: reads what is offered, says
/// whether this site takes part, again whenever that changes, and lets nothing leave that is not
/// allowed at that moment. Watches the control on a thread of its own; the rest is called by the
/// client's thread.
class Participation {
 public:
  /// What this site has said leaves through the link too, so it stands in outbound.jsonl as well.
  struct Options {
    SiteControl& control;
    CoordinatorLink& link;
    const SiteRecords& records;
    Logger& logger;
    std::stop_source leave;  ///< stopped once this site has left
  };
  explicit Participation(Options options);
  ~Participation();
  Participation(const Participation&) = delete;
  Participation& operator=(const Participation&) = delete;

  /// After each Join: fetches the offer, tells the coordinator whether this site takes part, and,
  /// if it does, `charged` (v1::ChargedReleases; empty: nothing). kCancelled; what is wrong with
  /// the offer only keeps this site from taking part.
  Status Joined(const v1::Welcome& welcome, std::string charged, std::stop_token stop);
  /// Whether the plan may be worked on; if not, the coordinator hears why.
  bool Admits(const RoundPlan& plan, std::stop_token stop);
  /// Uploads, unless the site has changed its mind; ends an upload when it does.
  /// kFailedPrecondition: it did.
  Status Upload(const RoundPlan& plan, const v1::UploadHeader& header,
                std::span<const std::byte> payload, std::stop_token stop);

 private:
  Result<Proposal> Fetch(const v1::Welcome& welcome, std::stop_token stop);
  void Watch(std::stop_token stop);
  void Leave(const Decision& standing, std::uint64_t seen);
  void Tell(const Decision& standing, std::stop_token stop);
  Status Send(const v1::Report& report, std::stop_token stop);

  Options options_;
  std::mutex mutex_;  // guards the rest
  bool joined_ = false;
  std::string charged_;
  std::optional<Decision> told_;
  std::optional<std::stop_source> upload_;
  std::jthread watch_;  // last: stops and joins before the rest goes
};

}  // namespace fedmeta
