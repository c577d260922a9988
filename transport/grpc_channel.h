#pragma once

#include <memory>

#include <grpcpp/channel.h>

#include "fedmeta/identity/credentials.h"
#include "fedmeta/transport/dial_target.h"

namespace fedmeta {

/// A channel with mutual TLS 1.3, keepalive, and the proxy of the target or none, whatever the
/// environment says. Connects at the first call.
std::shared_ptr<grpc::Channel> MakeChannel(const DialTarget& target,
                                           const Credentials& credentials);

}  // namespace fedmeta
