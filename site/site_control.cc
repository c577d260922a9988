#include "fedmeta/site/site_control.h"

#include <algorithm>
#include <ctime>
#include <system_error>
#include <utility>

#include "fedmeta/core/bytes.h"
#include "fedmeta/core/file.h"
#include "fedmeta/site/site_commands.h"
#include "fedmeta/v1/offer.pb.h"

namespace fedmeta {
namespace {

Decision Pending(std::string rule, std::string reason) {
  return {.verdict = Verdict::kPending, .rule = std::move(rule), .reason = std::move(reason)};
}
Decision Refused(std::string rule, std::string reason) {
  return {.verdict = Verdict::kRefused, .rule = std::move(rule), .reason = std::move(reason)};
}

int LocalMinute(WallTime time) {
  const std::time_t seconds = std::chrono::system_clock::to_time_t(time);
  std::tm parts{};
  ::localtime_r(&seconds, &parts);
  return parts.tm_hour * 60 + parts.tm_min;
}

}  // namespace

SiteControl::SiteControl(Options options, FileLock lock, DecisionLog log, const Clock& clock)
    : options_(std::move(options)), clock_(clock), lock_(std::move(lock)), log_(std::move(log)) {}

Result<std::unique_ptr<SiteControl>> SiteControl::Open(Options options, const Clock& clock) {
  Result<FileLock> lock = FileLock::Acquire(options.state_dir / "client");
  if (!lock.ok()) return lock.error().WithContext("state_dir is another client's");
  FEDMETA_ASSIGN_OR_RETURN(DecisionLog log,
                           DecisionLog::Open(options.state_dir / "approvals.jsonl"));
  FEDMETA_RETURN_IF_ERROR(MakeWritableFolder(options.state_dir / "offers", 0700));
  std::unique_ptr<SiteControl> control(
      new SiteControl(std::move(options), *std::move(lock), std::move(log), clock));
  FEDMETA_RETURN_IF_ERROR(control->LoadOffers());
  return control;
}

std::filesystem::path SiteControl::OfferFile(const std::string& hash) const {
  return options_.state_dir / "offers" / (hash + ".binpb");
}

Status SiteControl::LoadOffers() {
  std::error_code error;
  for (const auto& entry :
       std::filesystem::directory_iterator(options_.state_dir / "offers", error)) {
    if (entry.path().extension() != ".binpb") continue;
    FEDMETA_ASSIGN_OR_RETURN(const std::string content, ReadFile(entry.path()));
    v1::KeptOffer kept;
    kept.ParseFromString(content);
    Result<Proposal> proposal =
        Proposal::Create(kept.offer(), {kept.assignments().begin(), kept.assignments().end()});
    // A damaged one is fetched again when it is offered again; decisions are by hash.
    if (!proposal.ok()) continue;
    proposal->endorsement = kept.endorsement();
    const std::string hash = proposal->hash.hex();
    known_[hash] = std::make_shared<const Proposal>(*std::move(proposal));
  }
  if (error) {
    return Error(ErrorCode::kInternal,
                 (options_.state_dir / "offers").string() + ": " + error.message());
  }
  return {};
}

Status SiteControl::Keep(const Proposal& proposal) {
  v1::KeptOffer kept;
  kept.set_offer(proposal.offer_bytes);
  for (const std::string& assignment : proposal.assignment_bytes) kept.add_assignments(assignment);
  kept.set_endorsement(proposal.endorsement);
  return WriteFileAtomically(OfferFile(proposal.hash.hex()),
                             std::string_view(kept.SerializeAsString()), 0600);
}

/// What nobody has decided on need not be kept once something else is offered: a coordinator cannot
/// fill the disk.
void SiteControl::ForgetUndecided() {
  std::erase_if(known_, [&](const auto& entry) {
    const auto& [hash, proposal] = entry;
    if (proposal == current_ || log_.AnswerTo(proposal->hash) != DecisionLog::Answer::kNone)
      return false;
    std::error_code error;
    std::filesystem::remove(OfferFile(hash), error);
    return true;
  });
}

void SiteControl::Offered(Result<Proposal> proposal) {
  const std::lock_guard lock(mutex_);
  offer_error_.reset();
  current_.reset();
  if (!proposal.ok()) {
    offer_error_ = proposal.error();
  } else if (const auto known = known_.find(proposal->hash.hex());
             known != known_.end() && known->second->endorsement == proposal->endorsement) {
    current_ = known->second;
  } else if (const Status kept = Keep(*proposal); !kept.ok()) {
    offer_error_ = kept.error();
  } else {
    current_ = std::make_shared<const Proposal>(*std::move(proposal));
    known_[current_->hash.hex()] = current_;
  }
  ForgetUndecided();
  Changed();
}

bool SiteControl::InHours() const {
  return !options_.hours || options_.hours->Contains(LocalMinute(clock_.Wall()));
}

Result<IdentityUri> SiteControl::ResearcherOf(const Proposal& proposal) const {
  if (options_.researcher) return options_.researcher(proposal);
  return Error(ErrorCode::kNotFound, "no researcher's signature counts here");
}

Decision SiteControl::DecideOn(const Proposal& proposal) const {
  if (Decision rules =
          CheckProposal(options_.policy, options_.site, proposal, ResearcherOf(proposal));
      !rules.allowed()) {
    return rules;
  }
  const DecisionLog::Answer answer = log_.AnswerTo(proposal.hash);
  if (answer == DecisionLog::Answer::kRejected)
    return Refused("site.reject", "somebody at this site rejected it");
  if (answer == DecisionLog::Answer::kLeft) return Refused("site.leave", "this site left it");
  const auto& hashes = options_.policy.hashes();
  const bool listed = std::find(hashes.begin(), hashes.end(), proposal.hash.hex()) != hashes.end();
  if (answer != DecisionLog::Answer::kApproved && !listed && options_.policy.approve() != "any")
    return Pending("policy.approve", "somebody at the site has to approve it");
  if (log_.paused()) return Pending("site.pause", "the site pauses");
  if (!InHours()) return Pending("resources.hours", "outside the site's hours");
  return {};
}

Decision SiteControl::StandingLocked() const {
  if (offer_error_) return Refused("offer", offer_error_->message());
  if (!current_) return Pending("offer", "nothing was offered yet");
  return DecideOn(*current_);
}

Decision SiteControl::Standing() const {
  const std::lock_guard lock(mutex_);
  return StandingLocked();
}

Decision SiteControl::Decide(const RoundPlan& plan) const {
  const std::lock_guard lock(mutex_);
  const Decision standing = StandingLocked();
  return standing.allowed() ? CheckPlan(options_.policy, *current_, plan) : standing;
}

std::optional<std::string> SiteControl::FindAssignment(const Digest& digest) const {
  const std::lock_guard lock(mutex_);
  if (!current_) return std::nullopt;
  for (const std::string& assignment : current_->assignment_bytes) {
    if (Digest::Of(assignment) == digest) return assignment;
  }
  return std::nullopt;
}

bool SiteControl::left() const {
  const std::lock_guard lock(mutex_);
  return left_;
}

void SiteControl::Changed() {
  ++version_;
  changed_.notify_all();
}

std::uint64_t SiteControl::WaitForChange(std::uint64_t seen, Duration at_most,
                                         std::stop_token stop) const {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, stop, at_most, [&] { return version_ != seen; });
  return version_;
}

std::string SiteControl::Answer(std::string_view request, const std::string& who) {
  const std::lock_guard lock(mutex_);
  SiteCommands commands(
      {.policy = options_.policy,
       .site = options_.site,
       .state_dir = options_.state_dir,
       .known = known_,
       .current = current_,
       .decide = [this](const Proposal& proposal) { return DecideOn(proposal); },
       .researcher = [this](const Proposal& proposal) { return ResearcherOf(proposal); },
       .log = log_,
       .who = who,
       .now = clock_.Wall()});
  std::string answer = commands.Answer(request);
  left_ = left_ || commands.left();
  if (commands.decided()) Changed();
  return answer;
}

}  // namespace fedmeta
