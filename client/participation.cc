#include "fedmeta/client/participation.h"

#include <chrono>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "fedmeta/client/site_records.h"
#include "fedmeta/identity/endorsement.h"

namespace fedmeta {
namespace {

// How finely the site's hours are looked at.
constexpr Duration kLook = std::chrono::seconds(1);
constexpr Duration kFarewell = std::chrono::seconds(5);

}  // namespace

Participation::Participation(Options options)
    : options_(std::move(options)), watch_([this](std::stop_token stop) { Watch(stop); }) {}
Participation::~Participation() = default;

Status Participation::Joined(const v1::Welcome& welcome, std::string charged,
                             std::stop_token stop) {
  Result<Proposal> proposal = Fetch(welcome, stop);
  if (!proposal.ok() && proposal.error().code() == ErrorCode::kCancelled) return proposal.error();
  options_.control.Offered(std::move(proposal));
  const Decision standing = options_.control.Standing();
  {
    const std::lock_guard lock(mutex_);
    joined_ = true;
    charged_ = std::move(charged);
    told_.reset();
  }
  Tell(standing, stop);
  return {};
}

Result<Proposal> Participation::Fetch(const v1::Welcome& welcome, std::stop_token stop) {
  FEDMETA_ASSIGN_OR_RETURN(const v1::Offer parsed, Proposal::ParseOffer(welcome.offer()));
  std::vector<std::string> assignments;
  for (const v1::OfferedLeg& leg : parsed.legs()) {
    FEDMETA_ASSIGN_OR_RETURN(const Digest digest, Digest::FromBytes(leg.assignment_hash()));
    std::string& bytes = assignments.emplace_back(leg.assignment_size(), '\0');
    FEDMETA_RETURN_IF_ERROR(
        options_.link.Download(digest, std::as_writable_bytes(std::span(bytes)), stop));
  }
  FEDMETA_ASSIGN_OR_RETURN(Proposal proposal,
                           Proposal::Create(welcome.offer(), std::move(assignments)));
  // A longer one is none; what it says is looked at whenever something is decided.
  if (welcome.endorsement().size() <= kMaximumEndorsementBytes)
    proposal.endorsement = welcome.endorsement();
  return proposal;
}

/// Tells what is not told yet, ends an upload that is no longer allowed.
void Participation::Watch(std::stop_token stop) {
  for (std::uint64_t seen = 0; !stop.stop_requested();) {
    seen = options_.control.WaitForChange(seen, kLook, stop);
    if (stop.stop_requested()) return;
    const Decision standing = options_.control.Standing();
    if (!standing.allowed()) {
      const std::lock_guard lock(mutex_);
      if (upload_) upload_->request_stop();
    }
    if (options_.control.left()) {
      Leave(standing, seen);
      return;
    }
    Tell(standing, stop);
  }
}

/// The coordinator hears it if it is there; this site leaves in any case.
void Participation::Leave(const Decision& standing, std::uint64_t seen) {
  std::stop_source late;
  {
    const std::jthread timer([&](std::stop_token told) {
      options_.control.WaitForChange(seen, kFarewell, told);
      late.request_stop();
    });
    Tell(standing, late.get_token());
  }
  options_.leave.request_stop();
}

void Participation::Tell(const Decision& standing, std::stop_token stop) {
  v1::Report report;
  {
    const std::lock_guard lock(mutex_);
    if (!joined_ || told_ == standing) return;
    told_ = standing;
    if (standing.allowed()) report.mutable_ready()->set_charged(charged_);
  }
  options_.logger.Log(standing.allowed() ? LogLevel::kInfo : LogLevel::kWarning,
                      standing.allowed() ? "takes_part" : "takes_no_part",
                      {{"rule", standing.rule}, {"reason", standing.reason}});
  if (!standing.allowed()) {
    report.mutable_declined()->set_rule(standing.rule);
    report.mutable_declined()->set_reason(standing.reason);
    report.mutable_declined()->set_pending(standing.verdict == Verdict::kPending);
  }
  if (Send(report, stop).ok()) return;
  const std::lock_guard lock(mutex_);
  told_.reset();  // and so again
}

bool Participation::Admits(const RoundPlan& plan, std::stop_token stop) {
  const Decision decision = options_.control.Decide(plan);
  if (decision.allowed()) return true;
  options_.logger.Log(
      LogLevel::kWarning, "plan_declined",
      {{"key", plan.key().ToString()}, {"rule", decision.rule}, {"reason", decision.reason}});
  v1::Report report;
  *report.mutable_key() = plan.message().key();
  report.mutable_declined()->set_rule(decision.rule);
  report.mutable_declined()->set_reason(decision.reason);
  report.mutable_declined()->set_pending(decision.verdict == Verdict::kPending);
  // One that does not arrive is an absent client at the plan's deadline.
  [[maybe_unused]] const Status sent = Send(report, stop);
  return false;
}

Status Participation::Send(const v1::Report& report, std::stop_token stop) {
  FEDMETA_RETURN_IF_ERROR(options_.records.Message(
      report, report.has_ready() ? "ready" : "declined", {{"rule", report.declined().rule()}}));
  return options_.link.Send(report, stop);
}

Status Participation::Upload(const RoundPlan& plan, const v1::UploadHeader& header,
                             std::span<const std::byte> payload, std::stop_token stop) {
  std::stop_source own;
  const std::stop_callback forward(stop, [&own] { own.request_stop(); });
  {
    const std::lock_guard lock(mutex_);
    upload_ = own;
  }
  // After that: a change of mind from here on ends the upload.
  const Decision decision = options_.control.Decide(plan);
  if (!decision.allowed()) own.request_stop();
  Status uploaded = decision.allowed() ? options_.link.Upload(header, payload, own.get_token())
                                       : Error(ErrorCode::kCancelled, decision.rule);
  {
    const std::lock_guard lock(mutex_);
    upload_.reset();
  }
  const bool changed_mind = own.stop_requested() && !stop.stop_requested();
  if (uploaded.ok() || !changed_mind || uploaded.error().code() != ErrorCode::kCancelled)
    return uploaded;
  return Error(ErrorCode::kFailedPrecondition,
               "this site takes no part just now: the result is kept");
}

}  // namespace fedmeta
