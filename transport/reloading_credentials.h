#pragma once

#include <memory>

#include <grpcpp/security/credentials.h>
#include <grpcpp/security/server_credentials.h>

#include "fedmeta/identity/identity_source.h"

namespace fedmeta {

/// TLS for a server that asks for, and verifies, client certificates. Each new connection uses what
/// `identity` has by then. Outlives the server: gRPC's builder does not keep it, and each new
/// connection calls into it.
std::shared_ptr<grpc::ServerCredentials> ReloadingServerCredentials(
    std::shared_ptr<const IdentitySource> identity);

/// TLS with what `identity` has now; a connection is up only if the server's certificate counts by
/// then (IdentitySource::CheckPeer), so nothing is sent to a revoked one.
std::shared_ptr<grpc::ChannelCredentials> CheckingChannelCredentials(
    std::shared_ptr<const IdentitySource> identity);

}  // namespace fedmeta
