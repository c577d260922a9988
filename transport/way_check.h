#pragma once

#include <memory>
#include <stop_token>
#include <vector>

#include "fedmeta/core/clock.h"
#include "fedmeta/core/result.h"
#include "fedmeta/identity/identity_source.h"
#include "fedmeta/transport/hop.h"
#include "fedmeta/v1/client.pb.h"

namespace fedmeta {

/// Every hop to the coordinator, tried now; the first that fails is the last. After the
/// connection's own comes one call that changes nothing at the coordinator: whether gRPC gets
/// through, whether it admits this site, and how far its clock is from ours. Errors:
/// kInvalidArgument, of the address.
Result<std::vector<Hop>> CheckWay(const v1::CoordinatorAddress& address,
                                  std::shared_ptr<const IdentitySource> identity,
                                  const Clock& clock, std::stop_token stop);

}  // namespace fedmeta
