#include "fedmeta/coordinator/plain_round_engine.h"

#include <array>
#include <map>
#include <utility>

#include "fedmeta/core/text.h"

namespace fedmeta {
namespace {

enum class Phase : std::uint8_t { kBegin, kCollect, kClose, kCommit, kAbandon, kOver };
enum class Standing : std::uint8_t {
  kAsked,
  kLost,    // not waited for, may come back
  kAdding,  // its upload is whole and goes into the sum
  kReported,
  kDropped,  // out of this attempt for good
};

struct Participant {
  Standing standing = Standing::kAsked;
  std::string phase, reason;  // of kLost and kDropped
};

// In a reason; the record has them all.
constexpr std::size_t kNamedInReason = 8;

double Seconds(Duration duration) { return static_cast<double>(duration.count()) / 1000.0; }

class PlainRoundEngine final : public RoundEngine {
 public:
  PlainRoundEngine(PlainAttempt attempt, Tickets& tickets)
      : attempt_(std::move(attempt)), tickets_(tickets), deadline_timer_(tickets.Next()) {
    for (const ClientId& client : attempt_.cohort) participants_.try_emplace(client);
    counts_[static_cast<std::size_t>(Standing::kAsked)] = participants_.size();
  }

  std::vector<Instruction> Start(TimePoint now) override {
    Save(Record::kBeginAttempt, {}, now);
    return std::exchange(out_, {});
  }

  std::vector<Instruction> Handle(const Event& event, TimePoint now) override {
    if (phase_ != Phase::kOver) std::visit([&](const auto& fact) { On(fact, now); }, event);
    return std::exchange(out_, {});
  }

  const std::optional<AttemptOutcome>& outcome() const override { return outcome_; }

  std::string_view phase() const override {
    switch (phase_) {
      case Phase::kBegin:
        return "begin";
      case Phase::kCollect:
        return "collect";
      case Phase::kClose:
        return "close";
      case Phase::kCommit:
        return "commit";
      case Phase::kAbandon:
        return "abandon";
      case Phase::kOver:
        break;
    }
    return "over";
  }

 private:
  const RoundKey& key() const { return attempt_.plan.key(); }

  void On(const ClientJoined& fact, TimePoint) {
    const auto found = participants_.find(fact.client);
    if (found == participants_.end()) return;
    Participant& participant = found->second;
    if (participant.standing == Standing::kLost) Set(participant, Standing::kAsked);
    const bool waited_for = phase_ == Phase::kCollect && !deadline_passed_;
    if (waited_for && participant.standing == Standing::kAsked) {
      out_.emplace_back(SendPlan{{fact.client}, attempt_.plan});
    }
  }

  void On(const ClientLost& fact, TimePoint now) {
    const auto found = participants_.find(fact.client);
    if (found == participants_.end() || found->second.standing != Standing::kAsked) return;
    Set(found->second, Standing::kLost, "lost", fact.reason);
    Consider(now);
  }

  void On(const UploadStaged& fact, TimePoint now) {
    if (fact.key != key() || phase_ != Phase::kCollect || deadline_passed_) return;
    const auto found = participants_.find(fact.client);
    if (found == participants_.end()) return;
    Participant& participant = found->second;
    if (participant.standing != Standing::kAsked && participant.standing != Standing::kLost) return;
    Set(participant, Standing::kAdding);
    if (adds_.empty()) adding_since_ = now;
    const std::uint64_t ticket = tickets_.Next();
    adds_.emplace(ticket, fact.client);
    out_.emplace_back(RunWork{.ticket = ticket,
                              .work = Work::kAddUpload,
                              .plan = attempt_.plan,
                              .slot = fact.slot,
                              .client = fact.client,
                              .reported = 0,
                              .population = attempt_.population});
  }

  void On(const ClientFailed& fact, TimePoint now) {
    if (fact.key != key()) return;
    const auto found = participants_.find(fact.client);
    if (found == participants_.end()) return;
    const Standing standing = found->second.standing;
    if (standing != Standing::kAsked && standing != Standing::kLost) return;
    Drop(fact.client, fact.phase, fact.reason);
    Consider(now);
  }

  void On(const TimerFired& fact, TimePoint now) {
    if (fact.timer != deadline_timer_ || phase_ != Phase::kCollect) return;
    deadline_passed_ = true;
    Consider(now);
  }

  void On(const StoreFinished& fact, TimePoint now) {
    if (fact.ticket != ticket_) return;
    if (!fact.status.ok()) {
      EndWithError(fact.status.error());
      return;
    }
    switch (phase_) {
      case Phase::kBegin:
        parts_["commit"] += Seconds(now - since_);
        Collect(now);
        break;
      case Phase::kCommit:
        parts_["commit"] += Seconds(now - since_);
        Complete();
        break;
      case Phase::kAbandon:
        parts_["commit"] += Seconds(now - since_);
        End({});
        break;
      default:
        break;
    }
  }

  void On(const WorkFinished& fact, TimePoint now) {
    if (const auto add = adds_.find(fact.ticket); add != adds_.end()) {
      const ClientId client = add->second;
      adds_.erase(add);
      if (adds_.empty()) add_time_ += now - adding_since_;
      if (phase_ != Phase::kCollect) return;
      if (fact.status.ok()) {
        Set(participants_[client], Standing::kReported);
      } else {
        Drop(client, "upload", fact.status.error().message());
      }
      Consider(now);
      return;
    }
    if (phase_ != Phase::kClose || fact.ticket != ticket_) return;
    parts_["apply"] += Seconds(now - since_);
    if (!fact.status.ok()) {
      Abandon("closing failed: " + fact.status.error().message(), now);
      return;
    }
    result_ = fact.result;
    if (key().purpose == Purpose::kTrain) {
      Save(Record::kCommitRound, {}, now);
    } else {
      Complete();
    }
  }

  void On(const CancelAsked& fact, TimePoint now) {
    cancelled_ = fact.reason;
    if (phase_ == Phase::kCollect || phase_ == Phase::kClose) Abandon(fact.reason, now);
  }

  void On(const DriverFailed& fact, TimePoint) { EndWithError(fact.error); }

  void Collect(TimePoint now) {
    if (cancelled_) {
      Abandon(*cancelled_, now);
      return;
    }
    phase_ = Phase::kCollect;
    since_ = now;
    std::vector<ClientId> present;
    for (const auto& [client, participant] : participants_) {
      if (participant.standing == Standing::kAsked) present.push_back(client);
    }
    out_.emplace_back(SendPlan{std::move(present), attempt_.plan});
    out_.emplace_back(SetTimer{deadline_timer_, now + attempt_.report_deadline});
    Consider(now);
  }

  /// Whether collecting is over, and how.
  void Consider(TimePoint now) {
    if (phase_ != Phase::kCollect) return;
    const std::size_t awaited = deadline_passed_ ? 0 : Count(Standing::kAsked);
    if (Count(Standing::kReported) + adds_.size() + awaited < attempt_.minimum) {
      if (deadline_passed_) DropLate();
      EndCollect(now);
      Abandon(Figures(), now);
    } else if (awaited == 0 && adds_.empty()) {
      DropLate();
      EndCollect(now);
      phase_ = Phase::kClose;
      since_ = now;
      ticket_ = tickets_.Next();
      out_.emplace_back(RunWork{.ticket = ticket_,
                                .work = Work::kCloseRound,
                                .plan = attempt_.plan,
                                .slot = 0,
                                .client = {},
                                .reported = static_cast<std::uint32_t>(Count(Standing::kReported)),
                                .population = attempt_.population});
    }
  }

  void DropLate() {
    const std::string reason =
        "no report within " + FormatDuration(Seconds(attempt_.report_deadline));
    for (auto& [client, participant] : participants_) {
      if (participant.standing == Standing::kAsked) {
        Set(participant, Standing::kLost, "deadline", reason);
      }
    }
  }

  void EndCollect(TimePoint now) {
    if (!adds_.empty()) add_time_ += now - adding_since_;
    parts_["add"] = Seconds(add_time_);
    parts_["wait"] = Seconds(now - since_ - add_time_);
  }

  void Drop(const ClientId& client, const std::string& phase, const std::string& reason) {
    Set(participants_[client], Standing::kDropped, phase, reason);
    out_.emplace_back(CloseFor{{client}, key(), false, phase + ": " + reason});
  }

  void Abandon(const std::string& reason, TimePoint now) {
    abandoned_because_ = reason;
    Save(Record::kAbandonAttempt, reason, now);
  }

  void Save(Record record, const std::string& reason, TimePoint now) {
    if (record == Record::kCommitRound) phase_ = Phase::kCommit;
    if (record == Record::kAbandonAttempt) phase_ = Phase::kAbandon;
    since_ = now;
    ticket_ = tickets_.Next();
    out_.emplace_back(Persist{.ticket = ticket_,
                              .record = record,
                              .plan = attempt_.plan,
                              .reason = reason,
                              .cohort = static_cast<std::uint32_t>(attempt_.cohort.size())});
  }

  void Complete() {
    std::vector<ClientId> counted;
    for (const auto& [client, participant] : participants_) {
      if (participant.standing == Standing::kReported) counted.push_back(client);
    }
    out_.emplace_back(CloseFor{std::move(counted), key(), true, {}});
    committed_ = true;
    End({});
  }

  void EndWithError(const Error& error) {
    abandoned_because_ = error.message();
    End(error);
  }

  /// Tells everyone who has not heard yet, and sets the outcome.
  void End(Status environment) {
    phase_ = Phase::kOver;
    AttemptOutcome outcome{.committed = committed_,
                           .reason = abandoned_because_,
                           .result = committed_ ? std::move(result_) : std::nullopt,
                           .reported = {},
                           .dropped = {},
                           .parts_s = std::move(parts_),
                           .environment = std::move(environment)};
    std::map<std::string, std::vector<ClientId>> closed;  // by reason
    for (const auto& [client, participant] : participants_) {
      const bool gone = participant.standing == Standing::kLost;
      if (participant.standing == Standing::kReported) outcome.reported.push_back(client);
      if (gone || participant.standing == Standing::kDropped) {
        outcome.dropped.push_back({client.value(), participant.phase, participant.reason});
      }
      if (participant.standing == Standing::kDropped) continue;  // heard when it was dropped
      if (committed_ && participant.standing == Standing::kReported) continue;
      closed[gone ? participant.phase + ": " + participant.reason : abandoned_because_].push_back(
          client);
    }
    for (auto& [reason, clients] : closed) {
      out_.emplace_back(CloseFor{std::move(clients), key(), false, reason});
    }
    outcome_ = std::move(outcome);
  }

  void Set(Participant& participant, Standing standing, std::string phase = {},
           std::string reason = {}) {
    --counts_[static_cast<std::size_t>(participant.standing)];
    ++counts_[static_cast<std::size_t>(standing)];
    participant = {.standing = standing, .phase = std::move(phase), .reason = std::move(reason)};
  }

  std::size_t Count(Standing standing) const { return counts_[static_cast<std::size_t>(standing)]; }

  /// "3 of 8 reported, 5 needed; site-2: lost, silent for 2 min; ..."
  std::string Figures() const {
    std::string text = std::to_string(Count(Standing::kReported)) + " of " +
                       std::to_string(participants_.size()) + " reported, " +
                       std::to_string(attempt_.minimum) + " needed";
    std::size_t named = 0;
    for (const auto& [client, participant] : participants_) {
      if (participant.reason.empty()) continue;
      if (++named <= kNamedInReason) {
        text += "; " + client.value() + ": " + participant.phase + ", " + participant.reason;
      }
    }
    if (named > kNamedInReason) {
      text += "; and " + std::to_string(named - kNamedInReason) + " more";
    }
    return text;
  }

  const PlainAttempt attempt_;
  Tickets& tickets_;
  const std::uint64_t deadline_timer_;
  std::map<ClientId, Participant> participants_;
  std::array<std::size_t, 5> counts_{};  // by Standing
  Phase phase_ = Phase::kBegin;
  std::uint64_t ticket_ = 0;                // of the Persist or kCloseRound that is out
  std::map<std::uint64_t, ClientId> adds_;  // kAddUpload that are out
  bool deadline_passed_ = false;
  std::optional<std::string> cancelled_;
  bool committed_ = false;
  std::string abandoned_because_;
  std::optional<RoundResult> result_;
  TimePoint since_{};  // of the phase
  TimePoint adding_since_{};
  Duration add_time_{};
  std::map<std::string, double> parts_;
  std::optional<AttemptOutcome> outcome_;
  std::vector<Instruction> out_;
};

}  // namespace

std::unique_ptr<RoundEngine> MakePlainRoundEngine(PlainAttempt attempt, Tickets& tickets) {
  return std::make_unique<PlainRoundEngine>(std::move(attempt), tickets);
}

}  // namespace fedmeta
