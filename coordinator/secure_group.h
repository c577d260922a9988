#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "fedmeta/coordinator/attempt_engine.h"
#include "fedmeta/privacy/secure_server.h"

namespace fedmeta {

/// What sessions run under, the same for all of an experiment.
struct SecureSettings {
  std::string federation;
  const PeerVerifier* verifier = nullptr;  ///< outlives the engine
  v1::SecureTerms terms;                   ///< of the assignment; checked
  std::uint32_t sessions = 1;              ///< of one group and attempt
  Duration phase_deadline{};
};

/// SessionRecord::phase of a session that a dispute between two members ended.
inline constexpr std::string_view kDisputed = "dispute";

/// One group of clients whose updates are summed, and its sessions, one after the other until one
/// is opened:
///
///   advertise -> share -> mask -> ready -> (Persist kChargePrivacy) -> open -> (RunWork kUnmask)
///       |          |        |       |                                    |          |       |
///       |          +--------+-------+--> the next session                +----------+       |
///       +--> failed: too few clients, or sessions                        +--> spent      opened
///
/// Who is silent for the phase's deadline, lost, or says what cannot be right is out, with the
/// reason: before the members are fixed the session goes on without it, afterwards a new one begins
/// over the others, who still have their trained updates. Of a dispute both ends are out. When
/// everything to be opened is there the group is ready and waits for Charge; from then on members
/// may be lost as long as enough of them open. Sans-I/O; not thread-safe.
class SecureGroup {
 public:
  /// What the group is a part of; outlives it.
  struct Frame {
    const RoundPlan& plan;
    const Digest& model_hash;  ///< SessionFacts::model_hash
    const SecureSettings& settings;
    Tickets& tickets;
    std::uint32_t& last_session;  ///< numbers of sessions, unique over the attempt
  };
  enum class State : std::uint8_t { kRunning, kReady, kOpened, kFailed, kSpent };
  /// Who is out of the attempt since the last call.
  struct Out {
    ClientId client;
    std::string phase, reason;
  };

  SecureGroup(Frame frame, std::uint32_t number, std::vector<ClientId> clients = {});

  void Start(TimePoint now);
  /// In place of Start: a session that another process had charged, of which `records` (of this
  /// group) tell. Its members are then those of the sum; what cannot be verified any more is spent.
  void Resume(const ChargedAttempt::Group& charged, std::vector<SessionRecord> records);
  /// After Resume: asks for the opening, again.
  void Reopen(TimePoint now);
  void Handle(const PhaseReplied& fact, TimePoint now);
  void Handle(const UploadStaged& fact, TimePoint now);
  void Handle(const TimerFired& fact, TimePoint now);
  void Handle(const StoreFinished& fact, TimePoint now);
  void Handle(const WorkFinished& fact, TimePoint now);
  /// Of a group that is ready: what is about to be opened is made durable, then it is opened.
  void Charge(TimePoint now);
  /// A client cannot go on in this session, by its own word.
  void Handle(const ClientFailed& fact, TimePoint now);
  /// A client is out.
  void Lose(const ClientId& client, const std::string& reason, TimePoint now);
  /// It is back; what is asked of it is asked again.
  void Rejoin(const ClientId& client);

  std::uint32_t number() const { return number_; }
  std::uint32_t session() const { return session_; }  ///< the latest one
  State state() const { return state_; }
  const std::string& reason() const { return reason_; }  ///< of kFailed and kSpent
  /// Those that the sum is over, once it is opened.
  const std::vector<ClientId>& clients() const { return clients_; }
  bool Has(const ClientId& client) const;
  /// From the charge on, members may have opened: the round can no longer be tried again.
  bool charged() const { return charged_; }
  std::string_view phase() const;
  const std::vector<SessionRecord>& records() const { return records_; }
  std::uint64_t bytes_down() const { return bytes_down_; }
  std::uint64_t bytes_up() const { return bytes_up_; }
  std::vector<Instruction> TakeInstructions() { return std::exchange(instructions_, {}); }
  std::vector<Out> TakeOut() { return std::exchange(outs_, {}); }
  /// An error of the store: the run cannot go on.
  const Status& store_status() const { return store_status_; }

 private:
  enum class Step : std::uint8_t { kAdvertise, kShare, kMask, kCharge, kOpen, kUnmask, kOver };
  bool live() const { return state_ == State::kRunning || state_ == State::kReady; }

  void NextSession(TimePoint now);
  void Ask(std::vector<ClientId> clients, std::string_view phase, std::string body);
  void Enter(Step step, TimePoint now);
  void TakeReceipt(const PhaseReplied& fact, TimePoint now);
  void TakeOpening(const PhaseReplied& fact, TimePoint now);
  /// An answer was refused: ignored if it only came late, else its sender is out.
  void Refuse(const ClientId& client, const Error& error, TimePoint now);
  void Remove(const std::vector<ClientId>& clients, const std::string& reason, TimePoint now,
              std::string_view why = {});
  /// Moves on where every answer of the step is there.
  void Advance(TimePoint now);
  void TryOpen(TimePoint now);
  void NoteFindings();
  /// Whether enough members may still open.
  bool MayBeOpened() const;
  void End(State state, std::string reason);
  RoundKey key() const;
  SecureServer::Options ServerOptions() const;
  SessionRecord& record() { return records_.back(); }

  Frame frame_;
  const std::uint32_t number_;
  std::vector<ClientId> clients_;  // of the session, sorted
  State state_ = State::kRunning;
  Step step_ = Step::kAdvertise;
  std::string reason_;

  std::uint32_t session_ = 0;
  std::optional<SecureServer> server_;
  std::uint64_t timer_ = 0, ticket_ = 0;    // of the step
  std::map<ClientId, Digest> staged_;       // uploads
  std::map<std::uint64_t, ClientId> adds_;  // kAddUpload that are out
  bool charged_ = false;
  std::string request_;        // for openings
  std::set<ClientId> unable_;  // to open, for good
  std::size_t findings_noted_ = 0;

  std::vector<SessionRecord> records_;
  std::uint64_t bytes_down_ = 0, bytes_up_ = 0;
  Status store_status_;
  std::vector<Instruction> instructions_;
  std::vector<Out> outs_;
};

}  // namespace fedmeta
