#pragma once

#include <map>
#include <string>

#include "fedmeta/core/result.h"
#include "fedmeta/identity/identity_uri.h"
#include "fedmeta/protocol/round_plan.h"
#include "fedmeta/site/decision.h"
#include "fedmeta/site/proposal.h"
#include "fedmeta/v1/client.pb.h"
#include "fedmeta/v1/round.pb.h"

namespace fedmeta {

/// Who a site is and what it offers.
struct SiteFacts {
  IdentityUri identity;
  std::map<std::string, v1::Role> data;  ///< by what experiments call data.name
  /// It has a list of revoked certificates, or its file says that it does without.
  bool revocation_settled = false;
};

/// The policy's rules for an experiment as a whole; never kPending. Approval is not among them. The
/// first rule that forbids it is named, in the order of the block. `researcher`: who has signed it,
/// or why nobody counts as having (CheckEndorsement). Pure.
Decision CheckProposal(const v1::Policy& policy, const SiteFacts& site, const Proposal& proposal,
                       const Result<IdentityUri>& researcher);

/// Whether a plan asks for what the proposal says, and nothing else: one of its legs with its size,
/// no round beyond the last, a purpose that the policy allows. Pure.
Decision CheckPlan(const v1::Policy& policy, const Proposal& proposal, const RoundPlan& plan);

/// Lets everything in, as a block does that says nothing but approve: any and
/// allow.individual_updates: true.
v1::Policy OpenPolicy(std::uint32_t maximum_model_mib);

/// Sites of a round, at least: as the policy says, else 4 with secure aggregation and 1 without.
std::uint32_t MinimumCohort(const v1::Policy& policy, bool secure);

}  // namespace fedmeta
