#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "fedmeta/coordinator/round_engine.h"

namespace fedmeta {

/// Numbers of tickets and timers, unique over an experiment.
class Tickets {
 public:
  std::uint64_t Next() { return ++last_; }

 private:
  std::uint64_t last_ = 0;
};

struct Attempt {
  RoundPlan plan;                ///< training or evaluation
  std::vector<ClientId> cohort;  ///< distinct, in order of name, not empty
  std::uint32_t minimum = 1;     ///< reports below which nothing is committed
  std::uint32_t enough = 0;      ///< reports at which nobody is waited for any more; 0: all
  std::uint32_t population = 0;  ///< training clients present
  Duration report_deadline{};
};

/// What plain and secure attempts have in common: who was asked and how each one stands, the
/// deadline, and the way from the first durable record to the last:
///
///   begin -> (Persist) -> gather -> [sum] -> close -> (RunWork) -> commit -> (Persist) -> over
///                            |        |         |
///                            +--------+---------+--> abandon -> (Persist) -> over
///
/// Gathering ends when nobody is left to wait for, when enough have answered, at the deadline, or
/// when the minimum can no longer be reached. A client that is lost is not waited for, but takes
/// part again if it joins anew while the attempt still gathers; one that was dropped (its own
/// failure, a refused contribution) does not. Cancelling abandons the attempt, except that a commit
/// under way is waited for.
class AttemptEngine : public RoundEngine {
 public:
  std::vector<Instruction> Start(TimePoint now) override;
  std::vector<Instruction> Handle(const Event& event, TimePoint now) final;
  const std::optional<Status>& over() const final { return over_; }
  std::string_view phase() const override;

 protected:
  enum class Phase : std::uint8_t { kBegin, kGather, kSum, kClose, kCommit, kAbandon, kOver };
  enum class Standing : std::uint8_t {
    kAsked,
    kLost,      // not waited for, may come back
    kInHand,    // has answered; its contribution is on its way into the sum
    kReported,  // its contribution is in the sum
    kDropped,   // out of this attempt for good
  };
  struct Participant {
    Standing standing = Standing::kAsked;
    std::string phase, reason;  // of kLost and kDropped
  };

  AttemptEngine(Attempt attempt, Tickets& tickets);
  AttemptEngine(const AttemptEngine&) = delete;
  AttemptEngine& operator=(const AttemptEngine&) = delete;

  // For the variants to say.

  /// What the attempt begins with.
  virtual Record opening() const { return Record::kBeginAttempt; }
  /// That record stands.
  virtual void Begun(TimePoint now);
  virtual void NotBegun(const Status& status, TimePoint) { Fail(status); }
  /// Gathering is over, with at least the minimum in hand: sum, then Close or Abandon.
  virtual void Proceed(TimePoint now) = 0;
  /// False: something is under way that gathering has to wait for.
  virtual bool Settled() const { return true; }
  /// Gathering ends here; times of its parts.
  virtual void EndGathering(TimePoint now);
  /// Events that the frame has no use for.
  virtual void OnOther(const Event&, TimePoint) {}
  /// Whether it may be abandoned now; if not, what is under way ends it.
  virtual bool Cancellable() const { return true; }

  const Attempt& attempt() const { return attempt_; }
  const RoundKey& key() const { return attempt_.plan.key(); }
  Phase at() const { return phase_; }
  /// False once no more answers are taken.
  bool gathering() const { return phase_ == Phase::kGather && !waiting_ended_; }
  bool Asks(const ClientId& client) const { return participants_.contains(client); }
  Standing StandingOf(const ClientId& client) const { return participants_.at(client).standing; }
  /// Asked or lost: its answer is still taken.
  bool Awaits(const ClientId& client) const;
  std::vector<ClientId> Those(Standing standing) const;
  std::size_t Count(Standing standing) const { return counts_[static_cast<std::size_t>(standing)]; }
  std::size_t in_hand() const { return Count(Standing::kInHand) + Count(Standing::kReported); }

  void Set(const ClientId& client, Standing standing, std::string phase = {},
           std::string reason = {});
  /// Out of the attempt, and told so.
  void Drop(const ClientId& client, const std::string& phase, const std::string& reason);
  /// Whether gathering is over, and how.
  void Consider(TimePoint now);
  void BeginSum(TimePoint now);
  /// kCloseRound over those who have reported.
  void Close(TimePoint now);
  void Abandon(const std::string& reason, TimePoint now);
  /// The run cannot go on.
  void Fail(const Status& status);
  /// "3 of 8 reported, 5 needed; site-2: lost, silent for 2 min; ..."
  std::string Figures() const;
  std::uint64_t NextTicket() { return tickets_.Next(); }
  void Out(Instruction instruction) { out_.push_back(std::move(instruction)); }
  double SecondsSince(TimePoint now) const;  ///< of this phase
  /// The record that the attempt would end with now.
  AttemptRecord Outcome(TimePoint now) const;
  /// What the frame does not know of it.
  virtual void Complete(AttemptRecord&) const {}

  std::map<std::string, double> parts_;  ///< AttemptRecord::parts_s

 private:
  void On(const ClientJoined& fact, TimePoint now);
  void On(const ClientLost& fact, TimePoint now);
  void On(const ClientFailed& fact, TimePoint now);
  void On(const TimerFired& fact, TimePoint now);
  void On(const StoreFinished& fact, TimePoint now);
  void On(const WorkFinished& fact, TimePoint now);
  void On(const CancelAsked& fact, TimePoint now);
  void On(const DriverFailed& fact, TimePoint now);
  template <typename Fact>
  void On(const Fact& fact, TimePoint now) {
    OnOther(fact, now);
  }

  void StopWaiting(const std::string& phase, const std::string& reason);
  void Save(Record record, std::optional<AttemptRecord> outcome);
  void End(Status status);

  const Attempt attempt_;
  Tickets& tickets_;
  const std::uint64_t deadline_timer_;
  std::map<ClientId, Participant> participants_;
  std::array<std::size_t, 5> counts_{};  // by Standing
  Phase phase_ = Phase::kBegin;
  std::uint64_t ticket_ = 0;  // of the Persist or kCloseRound that is out
  bool waiting_ended_ = false;
  std::optional<std::string> cancelled_;
  bool committed_ = false;
  std::string abandoned_because_;
  TimePoint began_{}, since_{};  // the attempt, the phase
  std::optional<Status> over_;
  std::vector<Instruction> out_;
};

}  // namespace fedmeta
