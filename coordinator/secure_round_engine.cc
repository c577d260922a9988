#include "fedmeta/coordinator/secure_round_engine.h"

#include <algorithm>
#include <deque>
#include <utility>

#include "fedmeta/core/clock.h"
#include "fedmeta/protocol/phases.h"

namespace fedmeta {
namespace {

using State = SecureGroup::State;

class SecureRoundEngine final : public AttemptEngine {
 public:
  SecureRoundEngine(SecureAttempt secure, Tickets& tickets)
      : AttemptEngine(std::move(secure.attempt), tickets),
        settings_(std::move(secure.settings)),
        group_size_(settings_.terms.group_size()),
        model_hash_(secure.model_hash),
        charged_(std::move(secure.charged)),
        given_groups_(std::move(secure.groups)),
        tickets_(tickets) {}

  std::string_view phase() const override {
    if (at() == Phase::kGather) return "train";
    if (at() != Phase::kSum || groups_.empty()) return AttemptEngine::phase();
    const auto slowest = std::find_if(groups_.begin(), groups_.end(), [](const SecureGroup& group) {
      return group.state() == State::kRunning;
    });
    return slowest == groups_.end() ? AttemptEngine::phase() : slowest->phase();
  }

 private:
  Record opening() const override {
    return charged_ ? Record::kResumeAttempt : AttemptEngine::opening();
  }
  void Begun(TimePoint now) override {
    if (charged_) {
      Resume(now);
    } else {
      AttemptEngine::Begun(now);
    }
  }
  void NotBegun(const Status& status, TimePoint now) override {
    // What is lost for good is spent; an environment that is put right may still find it.
    if (charged_ && status.error().code() == ErrorCode::kDataLoss) {
      Abandon(status.error().message(), now);
    } else {
      AttemptEngine::NotBegun(status, now);
    }
  }

  void Resume(TimePoint now) {
    BeginSum(now);
    for (const DroppedClient& dropped : charged_->attempt.dropped) {
      const ClientId client(dropped.client);
      if (Asks(client)) Set(client, Standing::kDropped, dropped.phase, dropped.reason);
    }
    for (const ChargedAttempt::Group& charged : charged_->groups) {
      std::vector<SessionRecord> records;
      for (const SessionRecord& record : charged_->attempt.sessions) {
        if (record.group == charged.group && record.session <= charged.session)
          records.push_back(record);
      }
      SecureGroup& group = groups_.emplace_back(FrameOfGroups(), charged.group);
      group.Resume(charged, std::move(records));
      for (const ClientId& client : group.clients()) {
        if (Asks(client)) Set(client, Standing::kInHand);
      }
    }
    for (const ClientId& client : Those(Standing::kAsked))
      Set(client, Standing::kLost, "secure", "the coordinator ended before its sum was charged");
    if (in_hand() < attempt().minimum) {
      Abandon(Figures(), now);  // and nobody is asked to open what could not be used
      return;
    }
    for (SecureGroup& group : groups_) group.Reopen(now);
    Settle(now);
  }

  void OnOther(const Event& event, TimePoint now) override {
    std::visit([&](const auto& fact) { On(fact, now); }, event);
    if (at() == Phase::kSum) Settle(now);
  }

  void On(const PhaseReplied& fact, TimePoint now) {
    if (fact.key == key() && fact.phase == kTrainedPhase) {
      if (!gathering() || !Asks(fact.client) || !Awaits(fact.client)) return;
      Set(fact.client, Standing::kInHand);
      Consider(now);
    } else if (SecureGroup* group = GroupOf(fact.client)) {
      group->Handle(fact, now);
    }
  }
  void On(const UploadStaged& fact, TimePoint now) {
    if (SecureGroup* group = GroupOf(fact.client)) group->Handle(fact, now);
  }
  void On(const ClientJoined& fact, TimePoint now) {
    if (StandingOf(fact.client) != Standing::kInHand) return;
    if (gathering()) {
      // A new process: what it had trained is gone.
      Set(fact.client, Standing::kAsked);
      Out(SendPlan{{fact.client}, attempt().plan});
    } else if (SecureGroup* group = GroupOf(fact.client)) {
      if (group->charged()) {
        group->Rejoin(fact.client);
      } else {
        group->Lose(fact.client, "started anew", now);
      }
    }
  }
  void On(const ClientLost& fact, TimePoint now) { Lose(fact.client, fact.reason, now); }
  void On(const ClientFailed& fact, TimePoint now) {
    if (fact.key == key()) {
      Lose(fact.client, fact.reason, now);
    } else if (SecureGroup* group = GroupOf(fact.client)) {
      group->Handle(fact, now);
    }
  }
  void Lose(const ClientId& client, const std::string& reason, TimePoint now) {
    if (StandingOf(client) != Standing::kInHand) return;
    if (at() == Phase::kGather) {
      Set(client, Standing::kLost, "lost", reason);
      Consider(now);
    } else if (SecureGroup* group = GroupOf(client)) {
      group->Lose(client, reason, now);
    }
  }
  template <typename Fact>
  void On(const Fact& fact, TimePoint now) {
    if constexpr (std::is_same_v<Fact, TimerFired> || std::is_same_v<Fact, StoreFinished> ||
                  std::is_same_v<Fact, WorkFinished>) {
      for (SecureGroup& group : groups_) group.Handle(fact, now);
    }
  }

  SecureGroup* GroupOf(const ClientId& client) {
    const auto found = std::find_if(groups_.begin(), groups_.end(),
                                    [&](const SecureGroup& group) { return group.Has(client); });
    return found == groups_.end() ? nullptr : &*found;
  }

  SecureGroup::Frame FrameOfGroups() {
    return {.plan = attempt().plan,
            .model_hash = model_hash_,
            .settings = settings_,
            .tickets = tickets_,
            .last_session = last_session_};
  }

  void Proceed(TimePoint now) override {
    BeginSum(now);
    for (const std::vector<ClientId>& clients : given_groups_.empty() ? Deal() : given_groups_) {
      groups_.emplace_back(FrameOfGroups(), static_cast<std::uint32_t>(groups_.size()), clients);
    }
    for (SecureGroup& group : groups_) group.Start(now);
    Settle(now);
  }

  AskedMembers::Groups Deal() const {
    const std::vector<ClientId> clients = Those(Standing::kInHand);
    const std::size_t count = (clients.size() + group_size_ - 1) / group_size_;
    AskedMembers::Groups groups;
    for (std::size_t number = 0; number < count; ++number) {
      const auto at = [&](std::size_t part) {
        return clients.begin() + static_cast<std::ptrdiff_t>(clients.size() * part / count);
      };
      groups.emplace_back(at(number), at(number + 1));
    }
    return groups;
  }

  /// Whether the sums are done, can go on, or cannot.
  void Settle(TimePoint now) {
    Collect(now);
    if (at() != Phase::kSum) return;
    std::size_t possible = 0;
    for (const SecureGroup& group : groups_) {
      const bool failed = group.state() == State::kFailed || group.state() == State::kSpent;
      if (!failed) possible += group.clients().size();
    }
    const bool anyone_runs = Any(State::kRunning);
    if (!Charged() && possible < attempt().minimum) {
      GiveUp(now);
    } else if (!anyone_runs && Any(State::kReady)) {
      for (SecureGroup& group : groups_) {
        if (group.state() == State::kReady) group.Charge(now);
      }
      Settle(now);
    } else if (!anyone_runs) {
      EndSum(now);
    }
  }

  /// What the groups want done and whom they have lost.
  void Collect(TimePoint now) {
    for (SecureGroup& group : groups_) {
      for (Instruction& instruction : group.TakeInstructions()) {
        if (auto* persist = std::get_if<Persist>(&instruction);
            persist != nullptr && persist->charge)
          Describe(*persist->charge, now);
        Out(std::move(instruction));
      }
      for (const SecureGroup::Out& out : group.TakeOut()) Drop(out.client, out.phase, out.reason);
      if (!group.store_status().ok()) {
        Fail(group.store_status());
        return;
      }
      if (group.state() != State::kFailed && group.state() != State::kSpent) continue;
      for (const ClientId& client : group.clients()) {
        if (StandingOf(client) == Standing::kInHand)
          Set(client, Standing::kLost, "secure", group.reason());
      }
    }
  }

  /// All that another process would need.
  void Describe(SessionCharge& charge, TimePoint now) const {
    charge.attempt = Outcome(now);
    charge.minimum = attempt().minimum;
    charge.population = attempt().population;
  }

  void EndSum(TimePoint now) {
    for (const SecureGroup& group : groups_) {
      if (group.state() != State::kOpened) continue;
      for (const ClientId& client : group.clients()) Set(client, Standing::kReported);
    }
    parts_["sessions"] = SecondsSince(now);
    if (Count(Standing::kReported) >= attempt().minimum) {
      Close(now);
    } else {
      Abandon(WhyNot(), now);
    }
  }

  /// Of the first group that came to nothing; its clients' reasons only repeat it.
  std::string WhyNot() const {
    for (const SecureGroup& group : groups_) {
      const bool failed = group.state() == State::kFailed || group.state() == State::kSpent;
      if (failed && !group.reason().empty()) return group.reason();
    }
    return Figures();
  }

  void GiveUp(TimePoint now) {
    parts_["sessions"] = SecondsSince(now);
    std::string reason = Figures();
    for (SecureGroup& group : groups_) {
      if (group.state() == State::kFailed && !group.reason().empty()) {
        reason = group.reason() + "; " + reason;
        break;
      }
    }
    Abandon(reason, now);
  }

  bool Any(State state) const {
    return std::any_of(groups_.begin(), groups_.end(),
                       [&](const SecureGroup& group) { return group.state() == state; });
  }
  bool Charged() const {
    return charged_ || std::any_of(groups_.begin(), groups_.end(),
                                   [](const SecureGroup& group) { return group.charged(); });
  }
  /// Once something is charged, the opening under way decides.
  bool Cancellable() const override { return !Charged() || at() == Phase::kClose; }

  void Complete(AttemptRecord& record) const override {
    if (charged_) TakeUp(record);
    for (const SecureGroup& group : groups_) {
      record.sessions.insert(record.sessions.end(), group.records().begin(), group.records().end());
      record.bytes_down += group.bytes_down();
      record.bytes_up += group.bytes_up();
    }
    std::sort(record.sessions.begin(), record.sessions.end(),
              [](const SessionRecord& a, const SessionRecord& b) { return a.session < b.session; });
    record.spent = !record.committed && Charged();
  }

  /// What the attempt had come to in the process before this one.
  void TakeUp(AttemptRecord& record) const {
    const AttemptRecord& before = charged_->attempt;
    record.wall_s += before.wall_s;
    for (const auto& [part, seconds] : before.parts_s) record.parts_s[part] += seconds;
    record.bytes_down += before.bytes_down;
    record.bytes_up += before.bytes_up;
    for (const SessionRecord& session : before.sessions) {
      const auto resumed = [&](const SecureGroup& group) {
        return session.group == group.number() && session.session <= group.session();
      };
      if (std::none_of(groups_.begin(), groups_.end(), resumed)) record.sessions.push_back(session);
    }
  }

  const SecureSettings settings_;
  const std::size_t group_size_;
  const Digest model_hash_;
  const std::optional<ChargedAttempt> charged_;  // what it goes on with
  const AskedMembers::Groups given_groups_;
  Tickets& tickets_;
  std::uint32_t last_session_ = 0;
  std::deque<SecureGroup> groups_;  // does not move
};

}  // namespace

std::unique_ptr<RoundEngine> MakeSecureRoundEngine(SecureAttempt attempt, Tickets& tickets) {
  return std::make_unique<SecureRoundEngine>(std::move(attempt), tickets);
}

}  // namespace fedmeta
