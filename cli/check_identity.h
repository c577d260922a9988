#pragma once

#include <memory>

#include "fedmeta/cli/findings.h"
#include "fedmeta/core/clock.h"
#include "fedmeta/core/logger.h"
#include "fedmeta/identity/live_identity.h"
#include "fedmeta/v1/client.pb.h"

namespace fedmeta {

/// All that a start would look at, and the names under which a coordinator can be dialled. Nothing
/// if it would not start. `clock` and `logger` outlive what it returns.
std::shared_ptr<LiveIdentity> CheckIdentity(const v1::Identity& files, IdentityRole role,
                                            const Clock& clock, Logger& logger, Findings& findings);

/// Dials, as the client will, and tells every hop.
void CheckWayTo(const v1::CoordinatorAddress& address, std::shared_ptr<LiveIdentity> identity,
                const Clock& clock, Findings& findings);

/// Whether a client's file says how the site hears of revoked members, or that it does without:
/// the default takes part in no secure aggregation then.
bool RevocationSettled(const v1::ClientFile& file);
inline constexpr char kRevocationNotSettled[] =
    "identity.revocation_list is not set: this site would not know a member that was revoked, and "
    "so takes part in no secure aggregation; name the authority's denylist.pem, or say "
    "secure_aggregation.require_revocation_list: false";

}  // namespace fedmeta
