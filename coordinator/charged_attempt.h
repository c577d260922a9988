#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "fedmeta/coordinator/attempt_record.h"
#include "fedmeta/coordinator/round_store.h"
#include "fedmeta/core/result.h"
#include "fedmeta/protocol/round_plan.h"

namespace fedmeta {

/// Of Record::kChargePrivacy: what a session's members are about to open, and all that it takes to
/// go on from there in another process.
struct SessionCharge {
  RoundKey key;  ///< of the session
  std::uint32_t group = 0;
  std::string snapshot = {};                  ///< SecureServer::Snapshot
  AttemptRecord attempt = {};                 ///< as far as it has come
  std::uint32_t minimum = 1, population = 0;  ///< Attempt
};

/// An attempt that was cut off between the charge and the commit: its clients may have opened its
/// sums, and will open no others. Each group is of a session that was charged; of a group that was
/// not, nothing is left.
struct ChargedAttempt {
  struct Group {
    std::uint32_t group = 0, session = 0;
    std::string snapshot;
    BlobRef masked_sum;
  };
  RoundPlan plan;
  AttemptRecord attempt;
  std::uint32_t minimum = 1, population = 0;
  std::vector<Group> groups;  ///< in the order of their charges
};

/// v1::ChargedSession: PrivacyCharge::receipts.
std::string SerializeCharge(const RoundPlan& plan, const SessionCharge& charge);
/// Of the charges that a store has of one attempt; nothing where none is of a session.
/// kDataLoss: a record that is damaged.
Result<std::optional<ChargedAttempt>> ReadChargedAttempt(RoundStore& store, const ExperimentId& run,
                                                         const RoundKey& attempt);

}  // namespace fedmeta
