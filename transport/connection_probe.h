#pragma once

#include <stop_token>
#include <string>

#include "fedmeta/core/result.h"
#include "fedmeta/identity/credentials.h"
#include "fedmeta/transport/dial_target.h"

namespace fedmeta {

/// Walks to the coordinator hop by hop (name, proxy, TCP, TLS, the coordinator's verdict on our
/// certificate), because gRPC says only that it failed, and of a refused proxy password nothing.
/// Success: the way is open now. kUnavailable: a hop does not answer; may pass. kUnauthenticated: a
/// hop refuses, or is not whom it should be. kCancelled.
Status ProbeConnection(const DialTarget& target, const Credentials& credentials,
                       std::stop_token stop);

}  // namespace fedmeta
