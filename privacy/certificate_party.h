#pragma once

#include <memory>

#include "fedmeta/core/clock.h"
#include "fedmeta/core/result.h"
#include "fedmeta/identity/identity_source.h"
#include "fedmeta/privacy/party.h"

namespace fedmeta {

/// Signs with the key of this party's certificate, as `identity` has it when a session begins
/// (ECDSA P-256, SHA-256, through EVP_PKEY). Errors: the certificate no longer leads to the
/// authority. The clock outlives it. Thread-safe.
SignerSource CertificateSigner(std::shared_ptr<const IdentitySource> identity, const Clock& clock);

/// Verifies clients' certificates against the authority that `identity` trusts, its federation, and
/// its list of revoked certificates (IdentitySource::CheckPeer). A source without such a list
/// cannot tell who was revoked: configurations of secure aggregation must name one. Both outlive
/// it.
std::unique_ptr<PeerVerifier> CertificateVerifier(const IdentitySource& identity,
                                                  const Clock& clock);

}  // namespace fedmeta
