#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "fedmeta/coordinator/run_history.h"
#include "fedmeta/core/clock.h"
#include "fedmeta/core/ids.h"
#include "fedmeta/core/result.h"
#include "fedmeta/protocol/round_plan.h"
#include "fedmeta/transport/coordinator_endpoint.h"
#include "fedmeta/v1/round.pb.h"

namespace fedmeta {

/// The clients that have joined: what each is to hear next, its held long poll, when it was last
/// heard. What a client hears is state, not a queue, so that an answer lost on the way is given
/// again: its plan until it says that it has seen it or has answered it, and the last closed
/// attempt.
///
/// Thread-safe; answers are given without a lock held. Time comes from the caller.
class SessionTable {
 public:
  struct Options {
    std::string data_name;  ///< of the experiment; a client must offer it
    std::size_t maximum_sessions = 0;
    Duration lost_after{};  ///< silence after which a client is lost
    bool secure = false;    ///< secure aggregation: clients that do not speak it are refused
  };
  explicit SessionTable(Options options);

  struct Joined {
    v1::Welcome welcome;
    v1::Role role = v1::ROLE_UNSPECIFIED;
    bool known_before = false;  ///< this client was here earlier in this run
    bool ready = true;          ///< false: it decides on the offer first
  };
  /// Refuses other versions, clients without the experiment's data, and, with kUnavailable, a
  /// second process of a client whose first one was heard within takeover_after(): a restarted
  /// client gets in once its old process is Gone, or has been silent for that long.
  Result<Joined> Join(const ClientId& client, const v1::ClientHello& hello, TimePoint now);
  /// Answers now or later, exactly once. kFailedPrecondition "join first" without a session of this
  /// id.
  void Next(const ClientId& client, const v1::NextRequest& request, TimePoint now,
            Done<v1::Instruction> done);
  /// Of a run that goes on: in which rounds its clients were counted, and who was present, so that
  /// the farewell waits for them too.
  void Remember(const RunHistory::LastCounted& last_counted, const std::vector<ClientId>& present);
  void Heard(const ClientId& client, TimePoint now);
  /// Every connection of the client's process is closed: another one may join in its place.
  void Gone(const ClientId& client);
  /// kFailedPrecondition "join first" for a client without a session.
  Status Progress(const ClientId& client, const std::string& phase);
  /// Whether the client may be asked: its own word, after it has read the offer. The role that it
  /// has, if that changes something; kFailedPrecondition "join first" without a session.
  Result<std::optional<v1::Role>> SetReady(const ClientId& client, bool ready);
  /// Whether the client has a session.
  bool Has(const ClientId& client) const;
  /// What the client said it was doing; empty if it never did.
  std::string phase(const ClientId& client) const;
  bool Discloses(const ClientId& client) const;
  /// Clients with a session.
  std::vector<ClientId> Clients() const;
  /// Clients with a session, by role.
  std::map<v1::Role, std::size_t> Present() const;
  /// Whether the client's plan names this blob.
  bool MayDownload(const ClientId& client, const Digest& digest) const;

  void GivePlan(const std::vector<ClientId>& clients, const RoundPlan& plan);
  /// A step of a secure session: each client hears it until it has answered it, it is replaced by
  /// the next, or the attempt is closed.
  void GivePhase(const std::vector<ClientId>& clients, const v1::PhaseRequest& request);
  /// The client has answered this step of a session: it does not hear it again.
  void AnsweredPhase(const ClientId& client, const RoundKey& key, const std::string& phase);
  /// The client has reported on the plan, or given up the session: it does not hear it again.
  void Answered(const ClientId& client, const RoundKey& key);
  void Close(const std::vector<ClientId>& clients, const RoundKey& key, bool counted,
             const std::string& reason);

  struct Lost {
    ClientId client;
    std::string phase;
  };
  /// Answers polls that were held long enough with Idle; removes and returns clients that were
  /// silent for lost_after.
  std::vector<Lost> Tick(TimePoint now);
  /// Every client hears this at its next poll, also one that joins later.
  void Farewell(const v1::Closed& closed);
  bool AllHeardFarewell() const;
  /// Answers every held poll with this error.
  void Shut(const Error& error);

  Duration heartbeat() const { return heartbeat_; }
  Duration poll() const { return poll_; }
  Duration takeover_after() const { return poll_ + heartbeat_; }

 private:
  struct Session {
    std::uint64_t id = 0;
    TimePoint heard{};
    v1::Role role = v1::ROLE_UNSPECIFIED;
    bool gone = false;  // since Join or Next
    bool discloses = false;
    bool ready = true;
    std::string phase;
    std::optional<RoundPlan> plan;
    bool offered_anew = false;  // to be heard even if the client has seen this plan before
    bool answered = false;
    std::optional<v1::PhaseRequest> step;  // of a secure session, not answered
    std::optional<v1::Closed> closed;
    Done<v1::Instruction> poll;    // held
    std::optional<RoundKey> seen;  // by the held poll
    TimePoint poll_until{};
    bool heard_farewell = false;
  };
  struct Answer {
    Done<v1::Instruction> done;
    Result<v1::Instruction> instruction;
  };
  using Answers = std::vector<Answer>;

  void Deliver(const ClientId& client, Session& session, Answers& answers);
  /// Changes the sessions of those who are here, and delivers what that gives them.
  template <typename Change>
  void ChangeEach(const std::vector<ClientId>& clients, const Change& change);
  void AddLastCounted(const ClientId& client, v1::Instruction& instruction) const;
  static void Give(Answers answers);

  const Options options_;
  const Duration heartbeat_, poll_;
  mutable std::mutex mutex_;
  std::uint64_t last_session_ = 0;
  std::map<ClientId, Session> sessions_;
  RunHistory::LastCounted last_counted_;  // of everyone who ever joined
  std::set<ClientId> awaited_;  // present before the coordinator was restarted, not back yet
  std::optional<v1::Closed> farewell_;
};

}  // namespace fedmeta
