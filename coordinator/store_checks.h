#pragma once

#include <optional>
#include <string_view>

#include "fedmeta/coordinator/round_store.h"

namespace fedmeta {

// What every round store refuses, in the same words. Each names what it concerns; a store whose
// truth lies in a file adds the file.

/// kInvalidArgument unless `key` is an attempt at a round of the lease's run.
Status CheckAttemptOfRun(const Lease& lease, const RoundKey& key);
/// kInvalidArgument unless `charge` names a session of an attempt of the lease's run.
Status CheckSessionOfRun(const Lease& lease, const RoundKey& session);
/// kInvalidArgument unless `round` is what a training attempt at `plan` can commit.
Status CheckCommit(const RoundPlan& plan, const CommittedRound& round);

Error StaleLease(const Lease& lease);
Error BegunBefore(const RoundKey& attempt);
Error NeverBegun(const RoundKey& attempt);
Error EndedBefore(const RoundKey& attempt);
Error ChargedBefore(const RoundKey& session);
Error NotOnHead(const RoundPlan& plan, const std::optional<RoundKey>& head);
Error NoBlob(const BlobRef& blob);
Error OtherSize(const BlobRef& blob, std::uint64_t size);
Error DamagedBlob(const BlobRef& blob, std::string_view what);

/// The attempt that a session belongs to.
RoundKey AttemptOf(RoundKey session);

}  // namespace fedmeta
