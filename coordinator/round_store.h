#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "fedmeta/core/bytes.h"
#include "fedmeta/core/digest.h"
#include "fedmeta/core/ids.h"
#include "fedmeta/core/result.h"
#include "fedmeta/protocol/round_plan.h"

namespace fedmeta {

/// Content-addressed, written (and synced, where the store promises that) before it is named.
struct BlobRef {
  Digest sha256;
  std::uint64_t size = 0;
  bool operator==(const BlobRef&) const = default;
};

/// Only the holder writes; a standby that takes over raises the epoch and fences the old one.
struct Lease {
  ExperimentId run;  ///< the experiment's name, without leg: keys are of "<run>/<leg>"
  std::uint64_t epoch = 0;
};

struct CommittedRound {
  RoundKey key;
  BlobRef state, optimizer_state;
  /// Simulation: what clients keep between rounds, of those whose state this round changed.
  std::vector<std::pair<ClientId, BlobRef>> client_states;
};

/// How one attempt ended. The entries of a run, in the order in which they were made, are its whole
/// history: the engine finds its way back by them, and the records that people read are written
/// from them.
struct JournalEntry {
  RoundKey key;
  std::string outcome;  ///< serialised v1::AttemptRecord; opaque here
};

struct PrivacyCharge {
  RoundKey session;
  double epsilon = 0, delta = 0;
  BlobRef masked_sum, receipts;
};

/// Durable truth of a coordinator or a simulation: SQLite, PostgreSQL later, and one in memory that
/// forgets with the process. Each call is one transaction, durable when it returns. Writing calls
/// are refused with a stale lease (kFailedPrecondition) and for keys of another run
/// (kInvalidArgument). A failed call changes nothing. Blocking: called on the store thread, never
/// on a strand; one call at a time. Model state lives in blobs, not rows.
class RoundStore {
 public:
  virtual ~RoundStore() = default;

  /// Makes this process the run's writer, with a higher epoch than any before it.
  virtual Result<Lease> Acquire(const ExperimentId& run) = 0;
  /// What the run is (its resolved experiment), set when it begins and whenever it goes on with
  /// changed keys.
  virtual Status Describe(const Lease& lease, std::string_view description) = 0;
  virtual Result<std::optional<std::string>> Description(const ExperimentId& run) = 0;

  virtual Result<BlobRef> PutBlob(std::span<const std::byte> bytes) = 0;
  /// kNotFound; kDataLoss when what lies there is not what the name says.
  virtual Result<Bytes> GetBlob(const BlobRef& blob) = 0;

  /// Before any client sees the plan: an attempt number is used once, also across a crash
  /// (kAlreadyExists).
  virtual Status BeginAttempt(const Lease& lease, const RoundPlan& plan) = 0;
  /// Attempts that were begun and have not ended: what a crash cut off (at most one, of one
  /// writer).
  virtual Result<std::vector<RoundKey>> OpenAttempts(const ExperimentId& run) = 0;
  /// Before the opening request is sent; never refunded, and a session is charged once
  /// (kAlreadyExists). Stores the masked sum and the receipts too: until the attempt ends, after
  /// which both are the empty blob.
  virtual Status ChargePrivacy(const Lease& lease, const PrivacyCharge& charge) = 0;
  virtual Result<std::vector<PrivacyCharge>> PrivacyCharges(const ExperimentId& run) = 0;

  /// Ends an attempt that changes no state: abandoned, or an evaluation. Adds to the journal.
  virtual Status EndAttempt(const Lease& lease, const JournalEntry& entry) = 0;
  /// Ends a training attempt. Compare-and-swap on the head of the leg: fails (kFailedPrecondition)
  /// unless plan.parent() is its last committed round. Adds to the journal. Blobs that nothing
  /// names any more are gone, their space only after Tidy.
  virtual Status CommitRound(const Lease& lease, const RoundPlan& plan, const CommittedRound& round,
                             std::string_view outcome) = 0;
  /// Names a blob, so that it stays ("maml/round-80"); again: moves the name.
  virtual Status Keep(const Lease& lease, std::string_view name, const BlobRef& blob) = 0;
  /// Who was present when the last attempt began, serialised; opaque here.
  virtual Status SetPresence(const Lease& lease, std::string_view presence) = 0;

  /// Gives back the space of blobs that are gone. For a moment when nobody waits: freeing a large
  /// file takes as long as writing it.
  virtual void Tidy() = 0;

  virtual Result<std::optional<CommittedRound>> Head(const ExperimentId& leg) = 0;
  virtual Result<std::optional<BlobRef>> ClientState(const ExperimentId& leg,
                                                     const ClientId& client) = 0;
  virtual Result<std::vector<JournalEntry>> Journal(const ExperimentId& run) = 0;
  virtual Result<std::string> Presence(const ExperimentId& run) = 0;  ///< empty: never set
};

std::unique_ptr<RoundStore> MakeMemoryStore();

/// What a SQLite store outlives.
enum class Durability : std::uint8_t {
  kProcess,  ///< SIGKILL at any instant: simulations (WAL, synchronous=NORMAL, blobs not synced)
  kPower,    ///< loss of power at any instant: live coordinators (synchronous=FULL, blobs and
             ///< their folder synced before they are named)
};
/// Opens or makes the database; blobs lie beside it in "<path>.blobs/". kUnavailable: another
/// process has it open (said with its process id). A schema newer than this program's is refused;
/// an older one is migrated after a copy of the database was made beside it. Blobs that nothing
/// names (a crash between writing and naming) are removed.
Result<std::unique_ptr<RoundStore>> OpenSqliteStore(const std::filesystem::path& path,
                                                    Durability durability);

/// Where a store lies that files name "memory" (nothing) or "sqlite:PATH", a relative PATH being
/// under `folder`. kInvalidArgument for anything else.
Result<std::optional<std::filesystem::path>> StorePath(const std::string& store,
                                                       const std::filesystem::path& folder);
/// At a StorePath, whose folder is made.
Result<std::unique_ptr<RoundStore>> OpenRoundStore(const std::optional<std::filesystem::path>& path,
                                                   Durability durability);

}  // namespace fedmeta
