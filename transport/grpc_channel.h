#pragma once

#include <memory>

#include <grpcpp/channel.h>

#include "fedmeta/identity/identity_source.h"
#include "fedmeta/transport/dial_target.h"

namespace fedmeta {

/// A channel with mutual TLS 1.3 and the certificate that `identity` has now, keepalive, and the
/// proxy of the target or none, whatever the environment says. Connects at the first call, and only
/// to a coordinator whose certificate counts.
std::shared_ptr<grpc::Channel> MakeChannel(const DialTarget& target,
                                           std::shared_ptr<const IdentitySource> identity);

}  // namespace fedmeta
