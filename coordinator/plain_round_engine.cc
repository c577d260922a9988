#include "fedmeta/coordinator/plain_round_engine.h"

#include <array>
#include <deque>
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

class PlainRoundEngine final : public RoundEngine {
 public:
  PlainRoundEngine(PlainAttempt attempt, Tickets& tickets)
      : attempt_(std::move(attempt)), tickets_(tickets), deadline_timer_(tickets.Next()) {
    for (const ClientId& client : attempt_.cohort) participants_.try_emplace(client);
    counts_[static_cast<std::size_t>(Standing::kAsked)] = participants_.size();
  }

  std::vector<Instruction> Start(TimePoint now) override {
    began_ = now;
    Save(Record::kBeginAttempt, std::nullopt);
    return std::exchange(out_, {});
  }

  std::vector<Instruction> Handle(const Event& event, TimePoint now) override {
    if (phase_ != Phase::kOver) std::visit([&](const auto& fact) { On(fact, now); }, event);
    return std::exchange(out_, {});
  }

  const std::optional<Status>& over() const override { return over_; }

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
    const bool collecting = phase_ == Phase::kCollect && !waiting_ended_;
    if (!collecting && phase_ != Phase::kBegin) return;
    if (participant.standing == Standing::kLost) Set(participant, Standing::kAsked);
    if (collecting && participant.standing == Standing::kAsked) {
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
    if (fact.key != key() || phase_ != Phase::kCollect || waiting_ended_) return;
    const auto found = participants_.find(fact.client);
    if (found == participants_.end()) return;
    const Standing standing = found->second.standing;
    if (standing != Standing::kAsked && standing != Standing::kLost) return;
    const std::size_t in_hand = Count(Standing::kReported) + adds_.size();
    if (attempt_.enough > 0 && in_hand >= attempt_.enough) {
      spare_.push_back(fact);
    } else {
      Add(fact, now);
    }
  }

  void Add(const UploadStaged& fact, TimePoint now) {
    Set(participants_[fact.client], Standing::kAdding);
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
    StopWaiting("deadline",
                "no report within " + FormatDuration(Seconds(attempt_.report_deadline)));
    Consider(now);
  }

  void On(const StoreFinished& fact, TimePoint now) {
    if (fact.ticket != ticket_) return;
    if (!fact.status.ok()) {
      abandoned_because_ = fact.status.error().message();
      End(fact.status);
    } else if (phase_ == Phase::kBegin) {
      Collect(now);
    } else if (phase_ == Phase::kCommit || phase_ == Phase::kAbandon) {
      End({});
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
        AddSpare(now);
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
    phase_ = Phase::kCommit;
    committed_ = true;
    AttemptRecord outcome = Outcome(now);
    outcome.result = fact.result.value_or(RoundResult());
    Save(key().purpose == Purpose::kTrain ? Record::kCommitRound : Record::kEndEvaluation,
         std::move(outcome));
  }

  void On(const CancelAsked& fact, TimePoint now) {
    cancelled_ = fact.reason;
    if (phase_ == Phase::kCollect || phase_ == Phase::kClose) Abandon(fact.reason, now);
  }

  void On(const DriverFailed& fact, TimePoint) {
    abandoned_because_ = fact.error.message();
    committed_ = false;
    End(fact.error);
  }

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

  /// An upload of the sum's number turned out to be bad: one that came beyond it takes its place.
  void AddSpare(TimePoint now) {
    if (spare_.empty()) return;
    const UploadStaged spare = spare_.front();
    spare_.pop_front();
    const Standing standing = participants_[spare.client].standing;
    if (standing == Standing::kAsked || standing == Standing::kLost) Add(spare, now);
  }

  /// Whether collecting is over, and how.
  void Consider(TimePoint now) {
    if (phase_ != Phase::kCollect) return;
    if (attempt_.enough > 0 && Count(Standing::kReported) >= attempt_.enough && adds_.empty()) {
      StopWaiting("surplus", "enough reports came before it");
    }
    const std::size_t awaited = Count(Standing::kAsked);
    if (Count(Standing::kReported) + adds_.size() + awaited < attempt_.minimum) {
      EndCollect(now);
      Abandon(Figures(), now);
    } else if (awaited == 0 && adds_.empty()) {
      waiting_ended_ = true;
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

  void StopWaiting(const std::string& phase, const std::string& reason) {
    waiting_ended_ = true;
    for (auto& [client, participant] : participants_) {
      if (participant.standing == Standing::kAsked) {
        Set(participant, Standing::kLost, phase, reason);
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
    phase_ = Phase::kAbandon;
    abandoned_because_ = reason;
    Save(Record::kAbandonAttempt, Outcome(now));
  }

  void Save(Record record, std::optional<AttemptRecord> outcome) {
    ticket_ = tickets_.Next();
    out_.emplace_back(Persist{.ticket = ticket_,
                              .record = record,
                              .plan = attempt_.plan,
                              .cohort = static_cast<std::uint32_t>(attempt_.cohort.size()),
                              .outcome = std::move(outcome),
                              .presence = {}});
  }

  /// From here on the attempt's account is settled: who comes back now is not in it.
  AttemptRecord Outcome(TimePoint now) {
    AttemptRecord outcome{.key = key(),
                          .committed = committed_,
                          .reason = abandoned_because_,
                          .cut_off = false,
                          .cohort = attempt_.cohort,
                          .reported = {},
                          .dropped = {},
                          .on_training_sites = false,
                          .result = {},
                          .bytes_down = 0,
                          .bytes_up = 0,
                          .wall_s = Seconds(now - began_),
                          .parts_s = parts_,
                          .state_hash = {}};
    for (const auto& [client, participant] : participants_) {
      if (participant.standing == Standing::kReported) outcome.reported.push_back(client);
      if (participant.standing == Standing::kLost || participant.standing == Standing::kDropped) {
        outcome.dropped.push_back({client.value(), participant.phase, participant.reason});
      }
    }
    return outcome;
  }

  /// Tells everyone who has not heard yet.
  void End(Status status) {
    phase_ = Phase::kOver;
    std::vector<ClientId> counted;
    std::map<std::string, std::vector<ClientId>> closed;  // by reason
    for (const auto& [client, participant] : participants_) {
      if (participant.standing == Standing::kDropped) continue;  // heard when it was dropped
      if (committed_ && status.ok() && participant.standing == Standing::kReported) {
        counted.push_back(client);
      } else {
        closed[participant.reason.empty() ? abandoned_because_
                                          : participant.phase + ": " + participant.reason]
            .push_back(client);
      }
    }
    if (!counted.empty()) out_.emplace_back(CloseFor{std::move(counted), key(), true, {}});
    for (auto& [reason, clients] : closed) {
      out_.emplace_back(CloseFor{std::move(clients), key(), false, reason});
    }
    over_ = std::move(status);
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
  std::deque<UploadStaged> spare_;          // whole, beyond `enough`
  bool waiting_ended_ = false;
  std::optional<std::string> cancelled_;
  bool committed_ = false;
  std::string abandoned_because_;
  TimePoint began_{}, since_{};  // the attempt, the phase
  TimePoint adding_since_{};
  Duration add_time_{};
  std::map<std::string, double> parts_;
  std::optional<Status> over_;
  std::vector<Instruction> out_;
};

}  // namespace

std::unique_ptr<RoundEngine> MakePlainRoundEngine(PlainAttempt attempt, Tickets& tickets) {
  return std::make_unique<PlainRoundEngine>(std::move(attempt), tickets);
}

}  // namespace fedmeta
