#pragma once

#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include "fedmeta/core/result.h"
#include "fedmeta/identity/identity_source.h"
#include "fedmeta/transport/dial_target.h"
#include "fedmeta/transport/hop.h"

namespace fedmeta {

/// Walks to the coordinator hop by hop (name, proxy, TCP, TLS, the coordinator's verdict on our
/// certificate), because gRPC says only that it failed, and of a refused proxy password nothing.
/// Success: the way is open now. kUnavailable: a hop does not answer; may pass. kUnauthenticated: a
/// hop refuses, or is not whom it should be. kCancelled. `hops`, if given, receives every hop that
/// was tried, the failed one last.
Status ProbeConnection(const DialTarget& target, const IdentitySource& identity,
                       std::stop_token stop, std::vector<Hop>* hops = nullptr);

}  // namespace fedmeta
