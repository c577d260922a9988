#pragma once

#include <memory>

#include "fedmeta/core/clock.h"
#include "fedmeta/core/result.h"
#include "fedmeta/identity/identity_source.h"
#include "fedmeta/privacy/party.h"

namespace fedmeta {

/// Signs with the key of this party's certificate, as of `identity` at each call (ECDSA P-256,
/// SHA-256, through EVP_PKEY). `identity` outlives it.
std::unique_ptr<Signer> CertificateSigner(const IdentitySource& identity);

/// Verifies clients' certificates against the authority that `identity` trusts, its federation, and
/// its list of revoked certificates (IdentitySource::CheckPeer). A source without such a list
/// cannot tell who was revoked: configurations of secure aggregation must name one. Both outlive
/// it.
std::unique_ptr<PeerVerifier> CertificateVerifier(const IdentitySource& identity,
                                                  const Clock& clock);

}  // namespace fedmeta
