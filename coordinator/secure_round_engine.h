#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "fedmeta/coordinator/asked_members.h"
#include "fedmeta/coordinator/attempt_engine.h"
#include "fedmeta/coordinator/secure_group.h"

namespace fedmeta {

struct SecureAttempt {
  Attempt attempt;
  SecureSettings settings;
  Digest model_hash;                           ///< SessionFacts::model_hash
  std::optional<ChargedAttempt> charged = {};  ///< goes on with this; its plan is the attempt's
  /// Not empty: the cohort so dealt and no other way, and all of it is the minimum.
  AskedMembers::Groups groups = {};
};

/// One attempt in secure mode: AttemptEngine, where an answer is the word that an update is ready.
/// Those who have one by the deadline are dealt out, in order of name, to as few groups of nearly
/// equal size as the terms allow (or as SecureAttempt::groups says); their SecureGroups run at the
/// same time. No group is charged before all are ready, so that up to there an attempt that cannot
/// reach its minimum has opened nothing and can be tried again. What is charged but not committed
/// is spent (AttemptRecord::spent).
///
/// An attempt that another process had charged goes on with its openings: the same request to the
/// same members, who answer as they did or would have; no other session of it is ever begun.
std::unique_ptr<RoundEngine> MakeSecureRoundEngine(SecureAttempt attempt, Tickets& tickets);

}  // namespace fedmeta
