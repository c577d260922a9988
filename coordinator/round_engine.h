#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "fedmeta/coordinator/attempt_record.h"
#include "fedmeta/coordinator/charged_attempt.h"
#include "fedmeta/core/clock.h"
#include "fedmeta/core/ids.h"
#include "fedmeta/core/metric_sums.h"
#include "fedmeta/core/result.h"
#include "fedmeta/core/secret_bytes.h"
#include "fedmeta/protocol/round_plan.h"
#include "fedmeta/records/run_records.h"
#include "fedmeta/v1/round.pb.h"

namespace fedmeta {

// Facts, in. Those about an attempt carry its key; a stale one (another attempt, an unknown ticket
// or timer) is ignored.
struct ClientJoined {
  ClientId client;
  v1::Role role;
};  ///< also again, after its process restarted
struct ClientLost {
  ClientId client;
  std::string reason;
};  ///< silent for lost_after, or left
struct UploadStaged {
  RoundKey key;
  ClientId client;
  std::uint32_t slot;
  Digest digest = {};  ///< of the payload
};                     ///< whole and verified
/// What a client says in a secure attempt: that its update is ready (key of the attempt), or its
/// answer to a SendPhase (key of the session). protocol/phases.h names the phases.
struct PhaseReplied {
  RoundKey key;
  ClientId client;
  std::string phase, body;
};
struct ClientFailed {
  RoundKey key;
  ClientId client;
  std::string phase, reason;
};  ///< its own report
struct TimerFired {
  std::uint64_t timer;
};
struct StoreFinished {
  std::uint64_t ticket;
  Status status;
};
struct WorkFinished {
  std::uint64_t ticket;
  Status status;
  std::optional<RoundResult> result;
};
struct CancelAsked {
  std::string reason;
  bool interrupted;
};
/// The driver cannot go on (a full disk, an observer's error): the run ends as failed.
struct DriverFailed {
  Error error;
};
struct ToldMore {};
using Event =
    std::variant<ClientJoined, ClientLost, UploadStaged, PhaseReplied, ClientFailed, TimerFired,
                 StoreFinished, WorkFinished, CancelAsked, DriverFailed, ToldMore>;

// Things to do, out, in this order. Nothing is promised to a client before its Persist is back.
//
// Who answers what: each Persist is answered by one StoreFinished and each RunWork by one
// WorkFinished with its ticket, each SetTimer by one TimerFired (timers are not cancelled),
// TellMore by ToldMore. Tickets and timers are unique over the experiment. Nothing else is
// answered. RoundWorker calls (StartLeg, BeginAttempt, AddUpload, Close, Commit, Abandon) keep the
// order of the instructions they come from.

/// RoundWorker::StartLeg, from the leg's initial state or, where `head` is set, from what the store
/// holds of that committed round. A failure is reported with the next ticket, that of
/// kBeginAttempt.
struct StartLeg {
  std::size_t leg;
  std::optional<RoundKey> head;
  Digest state_hash;  ///< of that state
};
/// To clients of the cohort; again to one that joined anew during the attempt and has not reported.
struct SendPlan {
  std::vector<ClientId> clients;
  RoundPlan plan;
};
/// The attempt is over for these clients (others of the cohort may go on); `counted`: their
/// contribution is in the sum. The driver takes no more uploads of (client, key) and frees a slot
/// that one still holds, unless a kAddUpload for it was given out.
struct CloseFor {
  std::vector<ClientId> clients;
  RoundKey key;
  bool counted;
  std::string reason;
};
/// A step of a secure session, to these clients; in place of what they were sent before, if they
/// have not answered that.
struct SendPhase {
  std::vector<ClientId> clients;
  RoundKey key;  ///< of the session
  std::uint32_t group;
  std::string phase, body;
};
/// From now on these clients' uploads are taken under the key of a session.
struct ExpectUploads {
  std::vector<ClientId> clients;
  RoundPlan plan;
  RoundKey key;
};
/// The session is over, the attempt is not: no more uploads under its key, and a slot that one
/// still holds is freed, as with CloseFor.
struct EndSession {
  std::vector<ClientId> clients;
  RoundKey key;
  std::string reason;
};
struct SetTimer {
  std::uint64_t timer;
  TimePoint at;
};
enum class Record : std::uint8_t {
  kBeginAttempt,    ///< RoundStore::BeginAttempt; RoundWorker::BeginAttempt(plan, cohort)
  kCommitRound,     ///< RoundStore::CommitRound; then RoundWorker::Commit and
                    ///< ExperimentEngine::SetStateHash, before the answer
  kEndEvaluation,   ///< RoundStore::EndAttempt
  kAbandonAttempt,  ///< RoundStore::EndAttempt; RoundWorker::Abandon
  kChargePrivacy,   ///< RoundStore::ChargePrivacy, with the group's sum as RoundWorker has it
  kResumeAttempt,   ///< nothing new in the store: RoundWorker::BeginAttempt(plan, cohort), then
                    ///< AddMasked of each sum that the store has of the attempt
};
/// Spent until and with a release, all legs together.
struct PrivacyCost {
  double epsilon = 0, delta = 0;
};
/// An error in the answer ends the run.
struct Persist {
  std::uint64_t ticket;
  Record record;
  RoundPlan plan;
  std::uint32_t cohort;
  /// How the attempt ended; absent for kBeginAttempt. With kCommitRound the driver fills in the new
  /// state's hash.
  std::optional<AttemptRecord> outcome;
  /// Who is present; with a kBeginAttempt, if that has changed: RoundStore::SetPresence before it.
  std::optional<std::vector<ClientId>> presence;
  /// Of the release that this record makes: RoundStore::ChargePrivacy before it.
  std::optional<PrivacyCost> cost = {};
  std::optional<SessionCharge> charge = {};
};
enum class Work : std::uint8_t {
  kAddUpload,   ///< add the payload in `slot` to the sum (with a session: masked, to the sum of its
                ///< group), free the slot in any case; an error drops the client
  kUnmask,      ///< take the self masks off the sum of `group` and decode it
  kCloseRound,  ///< decode the sum, apply the server rules to the next state (training), give the
                ///< metrics as `result`
};
struct RunWork {
  std::uint64_t ticket;
  Work work;
  RoundPlan plan;
  std::uint32_t slot = 0;
  ClientId client = {};
  std::uint32_t reported = 0;  ///< of kUnmask: members of the session
  std::uint32_t population = 0;
  std::uint32_t session = 0, group = 0;
  std::shared_ptr<const std::vector<SecretBytes>> self_mask_keys = {};
};

// What people read. Between HistoryBegins and HistoryEnds the run's history is told again, out of
// the store: records are written anew from it, displays stay silent, and nothing else is asked for.
struct HistoryBegins {};
struct HistoryEnds {
  std::size_t leg;       ///< that goes on
  std::uint64_t rounds;  ///< of it, committed so far
};
/// There is more of the history: when what was told so far is written.
struct TellMore {};
struct ReportLeg {
  std::size_t leg;
};
struct ReportRound {
  RoundRecord record;
};
struct ReportEvaluation {
  std::size_t leg;
  std::vector<EvaluationRecord> records;
};
/// "round-80": of the current state. In the history: a later one of the same name may have
/// replaced it.
struct ReportCheckpoint {
  std::size_t leg;
  std::string name;
  std::map<std::string, std::string> metadata;
  Digest state_hash;
};
struct ReportNote {
  std::string text;
};
/// The run stands still until clients join or someone stops it: RunSummary::status is kPaused.
struct ReportPause {
  RunSummary summary;
};
/// Nothing follows. `status`: success, or why not: kFederationFailed, kCancelled (interrupted or
/// cancelled), else the environment's error.
struct Finish {
  RunSummary summary;
  Status status;
};
using Instruction =
    std::variant<StartLeg, SendPlan, CloseFor, SendPhase, ExpectUploads, EndSession, SetTimer,
                 Persist, RunWork, HistoryBegins, HistoryEnds, TellMore, ReportLeg, ReportRound,
                 ReportEvaluation, ReportCheckpoint, ReportNote, ReportPause, Finish>;

/// One attempt at one round. Sans-I/O: no thread, clock, socket, file or tensor; the same events
/// give the same instructions. Variants: plain and secure, both for training and evaluation.
class RoundEngine {
 public:
  virtual ~RoundEngine() = default;
  virtual std::vector<Instruction> Start(TimePoint now) = 0;
  virtual std::vector<Instruction> Handle(const Event& event, TimePoint now) = 0;
  /// Set once the attempt is over: its durable record stands (the outcome of the last Persist), or
  /// an error that ends the run.
  virtual const std::optional<Status>& over() const = 0;
  virtual std::string_view phase() const = 0;  ///< for status pages
};

}  // namespace fedmeta
