#pragma once

#include <string>

#include <grpcpp/security/auth_context.h>

#include "fedmeta/core/result.h"
#include "fedmeta/identity/identity_uri.h"

namespace fedmeta {

/// Who is at the other end, from the certificate that TLS verified: its one URI name.
/// kUnauthenticated without one.
Result<IdentityUri> PeerIdentity(const grpc::AuthContext* context);
/// All certificates that it presented, in PEM, its own first (a client sees that one twice).
std::string PeerCertificates(const grpc::AuthContext* context);

}  // namespace fedmeta
