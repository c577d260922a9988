#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "fedmeta/core/clock.h"
#include "fedmeta/core/ids.h"
#include "fedmeta/core/metric_sums.h"
#include "fedmeta/core/result.h"
#include "fedmeta/protocol/round_plan.h"
#include "fedmeta/records/run_records.h"
#include "fedmeta/v1/round.pb.h"

namespace fedmeta {

/// What a closed attempt measured; metrics summed over the reporting clients, one a metric cell.
struct RoundResult {
  std::vector<MetricSums> metrics;
  /// Evaluation only: clients that disclose their own figures.
  std::vector<std::pair<ClientId, std::vector<MetricSums>>> disclosed;
};

// Facts, in. Those about an attempt carry its key; a stale one is ignored.
struct ClientJoined { ClientId client; v1::Role role; };
struct ClientLost { ClientId client; std::string reason; };                         ///< silent for lost_after, or left
struct UploadStaged { RoundKey key; ClientId client; std::uint32_t slot; };         ///< whole and verified
struct ClientFailed { RoundKey key; ClientId client; std::string phase, reason; };  ///< its own report
struct TimerFired { std::uint64_t timer; };
struct StoreFinished { std::uint64_t ticket; Status status; };
struct WorkFinished { std::uint64_t ticket; Status status; std::optional<RoundResult> result; };
struct CancelAsked { std::string reason; bool interrupted; };
using Event = std::variant<ClientJoined, ClientLost, UploadStaged, ClientFailed, TimerFired, StoreFinished, WorkFinished, CancelAsked>;

// Things to do, out, in this order. Nothing is promised to a client before its Persist is back.
struct StartLeg { std::size_t leg; };                                   ///< load its state and optimiser
struct SendPlan { std::vector<ClientId> clients; RoundPlan plan; };
/// The attempt is over for these clients; `counted`: their contribution is in the sum.
struct CloseFor { std::vector<ClientId> clients; RoundKey key; bool counted; std::string reason; };
struct SetTimer { std::uint64_t timer; TimePoint at; };
enum class Record : std::uint8_t { kBeginAttempt, kCommitRound, kAbandonAttempt };
struct Persist { std::uint64_t ticket; Record record; RoundPlan plan; std::string reason; };
enum class Work : std::uint8_t {
  kAddUpload,    ///< decode the payload in `slot`, add it to the sum, free the slot; an error drops the client
  kCloseRound,   ///< decode the sum, apply the server rules to the next state (training), give the metrics
};
struct RunWork { std::uint64_t ticket; Work work; RoundPlan plan; std::uint32_t slot; ClientId client; std::uint32_t reported; std::uint32_t population; };
struct ReportRound { RoundRecord record; };
struct ReportEvaluation { std::size_t leg; std::vector<EvaluationRecord> records; };
struct ReportCheckpoint { std::size_t leg; std::string name; std::map<std::string, std::string> metadata; };   ///< "round-80": of the current state
struct ReportNote { std::string text; };
struct Finish { RunSummary summary; };                                  ///< nothing follows
using Instruction = std::variant<StartLeg, SendPlan, CloseFor, SetTimer, Persist, RunWork, ReportRound, ReportEvaluation, ReportCheckpoint,
                                 ReportNote, Finish>;

/// How an attempt ended.
struct AttemptOutcome {
  bool committed = false;
  std::string reason;                      ///< why not
  std::optional<RoundResult> result;
  std::vector<ClientId> reported;
  std::vector<DroppedClient> dropped;
};

/// One attempt at one round. Sans-I/O: no thread, clock, socket, file or tensor; the same events
/// give the same instructions. Variants: plain (training and evaluation), later secure and buffered-asynchronous.
class RoundEngine {
 public:
  virtual ~RoundEngine() = default;
  virtual std::vector<Instruction> Start(TimePoint now) = 0;
  virtual std::vector<Instruction> Handle(const Event& event, TimePoint now) = 0;
  /// Set once the attempt is over.
  virtual const std::optional<AttemptOutcome>& outcome() const = 0;
  virtual std::string_view phase() const = 0;  ///< for status pages
};

}  // namespace fedmeta
