#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "fedmeta/core/bytes.h"
#include "fedmeta/core/digest.h"
#include "fedmeta/core/ids.h"
#include "fedmeta/core/result.h"
#include "fedmeta/protocol/round_plan.h"

namespace fedmeta {

struct BlobRef {
  Digest sha256;
  std::uint64_t size = 0;
};  ///< content-addressed, written before it is named

/// Only the holder writes; a standby that takes over raises the epoch and fences the old one.
struct Lease {
  ExperimentId experiment;
  std::uint64_t epoch = 0;
};

struct CommittedRound {
  RoundKey key;
  BlobRef state, optimizer_state;
  std::string record;  ///< the line of rounds.jsonl
};

/// Durable truth of a coordinator: SQLite, PostgreSQL later, and one in memory that forgets with
/// the process. Each call is one transaction, durable when it returns, and refused with a stale
/// lease (kFailedPrecondition). Blocking: called on the store thread, never on a strand. Model
/// state lives in blobs, not rows.
class RoundStore {
 public:
  virtual ~RoundStore() = default;
  virtual Result<Lease> Acquire(const ExperimentId& experiment) = 0;
  virtual Result<BlobRef> PutBlob(std::span<const std::byte> bytes) = 0;
  virtual Result<Bytes> GetBlob(const BlobRef& blob) = 0;
  /// Before any client sees the plan: an attempt number is used once, also across a crash.
  virtual Status BeginAttempt(const Lease& lease, const RoundPlan& plan) = 0;
  virtual Status AbandonAttempt(const Lease& lease, const RoundKey& attempt,
                                std::string_view reason) = 0;
  /// Compare-and-swap on the head: fails unless plan.parent() is the last committed round.
  virtual Status CommitRound(const Lease& lease, const RoundPlan& plan,
                             const CommittedRound& round) = 0;
  virtual Result<std::optional<CommittedRound>> Head(const ExperimentId& experiment) = 0;
};

std::unique_ptr<RoundStore> MakeMemoryStore();

}  // namespace fedmeta
