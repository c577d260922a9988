#include "fedmeta/coordinator/attempt_engine.h"

#include <utility>

#include "fedmeta/core/text.h"

namespace fedmeta {
namespace {

// In a reason; the record has them all.
constexpr std::size_t kNamedInReason = 8;

}  // namespace

AttemptEngine::AttemptEngine(Attempt attempt, Tickets& tickets)
    : attempt_(std::move(attempt)), tickets_(tickets), deadline_timer_(tickets.Next()) {
  for (const ClientId& client : attempt_.cohort) participants_.try_emplace(client);
  counts_[static_cast<std::size_t>(Standing::kAsked)] = participants_.size();
}

std::vector<Instruction> AttemptEngine::Start(TimePoint now) {
  began_ = now;
  Save(opening(), std::nullopt);
  return std::exchange(out_, {});
}

std::vector<Instruction> AttemptEngine::Handle(const Event& event, TimePoint now) {
  if (phase_ != Phase::kOver) std::visit([&](const auto& fact) { On(fact, now); }, event);
  return std::exchange(out_, {});
}

std::string_view AttemptEngine::phase() const {
  switch (phase_) {
    case Phase::kBegin:
      return "begin";
    case Phase::kGather:
      return "collect";
    case Phase::kSum:
      return "sum";
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

void AttemptEngine::On(const ClientJoined& fact, TimePoint now) {
  if (!Asks(fact.client)) return;
  if (gathering() || phase_ == Phase::kBegin) {
    if (StandingOf(fact.client) == Standing::kLost) Set(fact.client, Standing::kAsked);
    if (gathering() && StandingOf(fact.client) == Standing::kAsked) {
      Out(SendPlan{{fact.client}, attempt_.plan});
    }
  }
  OnOther(fact, now);
}

void AttemptEngine::On(const ClientLost& fact, TimePoint now) {
  if (!Asks(fact.client)) return;
  if (StandingOf(fact.client) == Standing::kAsked) {
    Set(fact.client, Standing::kLost, "lost", fact.reason);
    Consider(now);
  } else {
    OnOther(fact, now);
  }
}

void AttemptEngine::On(const ClientFailed& fact, TimePoint now) {
  if (!Asks(fact.client)) return;
  if (fact.key == key() && Awaits(fact.client)) {
    Drop(fact.client, fact.phase, fact.reason);
    Consider(now);
  } else {
    OnOther(fact, now);
  }
}

void AttemptEngine::On(const TimerFired& fact, TimePoint now) {
  if (fact.timer != deadline_timer_) {
    OnOther(fact, now);
  } else if (phase_ == Phase::kGather) {
    StopWaiting("deadline",
                "no report within " + FormatDuration(Seconds(attempt_.report_deadline)));
    Consider(now);
  }
}

void AttemptEngine::On(const StoreFinished& fact, TimePoint now) {
  if (fact.ticket != ticket_) {
    OnOther(fact, now);
  } else if (!fact.status.ok()) {
    phase_ == Phase::kBegin ? NotBegun(fact.status, now) : Fail(fact.status);
  } else if (phase_ == Phase::kBegin) {
    Begun(now);
  } else if (phase_ == Phase::kCommit || phase_ == Phase::kAbandon) {
    End({});
  }
}

void AttemptEngine::On(const WorkFinished& fact, TimePoint now) {
  if (phase_ != Phase::kClose || fact.ticket != ticket_) {
    OnOther(fact, now);
    return;
  }
  parts_["apply"] += SecondsSince(now);
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

void AttemptEngine::On(const CancelAsked& fact, TimePoint now) {
  cancelled_ = fact.reason;
  const bool under_way =
      phase_ == Phase::kGather || phase_ == Phase::kSum || phase_ == Phase::kClose;
  if (under_way && Cancellable()) Abandon(fact.reason, now);
}

void AttemptEngine::On(const DriverFailed& fact, TimePoint) { Fail(fact.error); }

void AttemptEngine::Fail(const Status& status) {
  abandoned_because_ = status.error().message();
  committed_ = false;
  End(status);
}

void AttemptEngine::Begun(TimePoint now) {
  if (cancelled_) {
    Abandon(*cancelled_, now);
    return;
  }
  phase_ = Phase::kGather;
  since_ = now;
  Out(SendPlan{Those(Standing::kAsked), attempt_.plan});
  Out(SetTimer{deadline_timer_, now + attempt_.report_deadline});
  Consider(now);
}

void AttemptEngine::Consider(TimePoint now) {
  if (phase_ != Phase::kGather) return;
  if (attempt_.enough > 0 && in_hand() >= attempt_.enough && Settled()) {
    StopWaiting("surplus", "enough reports came before it");
  }
  const std::size_t awaited = Count(Standing::kAsked);
  if (in_hand() + awaited < attempt_.minimum) {
    EndGathering(now);
    Abandon(Figures(), now);
  } else if (awaited == 0 && Settled()) {
    waiting_ended_ = true;
    EndGathering(now);
    Proceed(now);
  }
}

void AttemptEngine::StopWaiting(const std::string& phase, const std::string& reason) {
  waiting_ended_ = true;
  for (const ClientId& client : Those(Standing::kAsked)) {
    Set(client, Standing::kLost, phase, reason);
  }
}

void AttemptEngine::EndGathering(TimePoint now) { parts_["wait"] = SecondsSince(now); }

void AttemptEngine::BeginSum(TimePoint now) {
  phase_ = Phase::kSum;
  since_ = now;
}

void AttemptEngine::Close(TimePoint now) {
  phase_ = Phase::kClose;
  since_ = now;
  ticket_ = tickets_.Next();
  Out(RunWork{.ticket = ticket_,
              .work = Work::kCloseRound,
              .plan = attempt_.plan,
              .reported = static_cast<std::uint32_t>(Count(Standing::kReported)),
              .population = attempt_.population});
}

void AttemptEngine::Drop(const ClientId& client, const std::string& phase,
                         const std::string& reason) {
  Set(client, Standing::kDropped, phase, reason);
  Out(CloseFor{{client}, key(), false, phase + ": " + reason});
}

void AttemptEngine::Abandon(const std::string& reason, TimePoint now) {
  phase_ = Phase::kAbandon;
  abandoned_because_ = reason;
  Save(Record::kAbandonAttempt, Outcome(now));
}

void AttemptEngine::Save(Record record, std::optional<AttemptRecord> outcome) {
  ticket_ = tickets_.Next();
  Out(Persist{.ticket = ticket_,
              .record = record,
              .plan = attempt_.plan,
              .cohort = static_cast<std::uint32_t>(attempt_.cohort.size()),
              .outcome = std::move(outcome),
              .presence = {}});
}

/// From here on the attempt's account is settled: who comes back now is not in it.
AttemptRecord AttemptEngine::Outcome(TimePoint now) const {
  AttemptRecord outcome;
  outcome.key = key();
  outcome.committed = committed_;
  outcome.reason = abandoned_because_;
  outcome.cohort = attempt_.cohort;
  outcome.reported = Those(Standing::kReported);
  outcome.wall_s = Seconds(now - began_);
  outcome.parts_s = parts_;
  for (const auto& [client, participant] : participants_) {
    if (participant.standing == Standing::kLost || participant.standing == Standing::kDropped) {
      outcome.dropped.push_back({client.value(), participant.phase, participant.reason});
    }
  }
  Complete(outcome);
  return outcome;
}

/// Tells everyone who has not heard yet.
void AttemptEngine::End(Status status) {
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
  if (!counted.empty()) Out(CloseFor{std::move(counted), key(), true, {}});
  for (auto& [reason, clients] : closed) {
    Out(CloseFor{std::move(clients), key(), false, reason});
  }
  over_ = std::move(status);
}

bool AttemptEngine::Awaits(const ClientId& client) const {
  const auto found = participants_.find(client);
  return found != participants_.end() &&
         (found->second.standing == Standing::kAsked || found->second.standing == Standing::kLost);
}

std::vector<ClientId> AttemptEngine::Those(Standing standing) const {
  std::vector<ClientId> those;
  for (const auto& [client, participant] : participants_) {
    if (participant.standing == standing) those.push_back(client);
  }
  return those;
}

void AttemptEngine::Set(const ClientId& client, Standing standing, std::string phase,
                        std::string reason) {
  Participant& participant = participants_.at(client);
  --counts_[static_cast<std::size_t>(participant.standing)];
  ++counts_[static_cast<std::size_t>(standing)];
  participant = {.standing = standing, .phase = std::move(phase), .reason = std::move(reason)};
}

std::string AttemptEngine::Figures() const {
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

double AttemptEngine::SecondsSince(TimePoint now) const { return Seconds(now - since_); }

}  // namespace fedmeta
