#pragma once

#include <string>
#include <string_view>

#include "fedmeta/core/clock.h"
#include "fedmeta/core/digest.h"
#include "fedmeta/core/result.h"
#include "fedmeta/identity/credentials.h"
#include "fedmeta/identity/identity_source.h"
#include "fedmeta/identity/identity_uri.h"

namespace fedmeta {

// A researcher's word for an experiment: a signature, made offline, over its name and the hash of
// what sites are offered. So it stands for everything that a site's approval stands for, and for
// nothing else; deadlines and other keys that no offer holds may change without a new one.

inline constexpr std::string_view kEndorsementDomain = "fedmeta endorsement v1";
inline constexpr std::size_t kMaximumEndorsementBytes = 64 * 1024;

/// v1::Endorsement, serialised. `researcher`: LoadCredentials with kResearcher.
Result<std::string> MakeEndorsement(const Credentials& researcher, const std::string& experiment,
                                    const Digest& offer, WallTime now);

/// Whose it is, by the authority in `trust_pem` at that time. kNotFound: there is none (empty);
/// kPermissionDenied: of something else than this offer, or not signed by a researcher of the
/// federation; the message says which. Revocation is not looked at.
Result<IdentityUri> CheckEndorsement(std::string_view endorsement, const Digest& offer,
                                     std::string_view trust_pem, WallTime at);
/// The same by what this party trusts, and not revoked: where that cannot be told it is refused.
Result<IdentityUri> CheckEndorsement(std::string_view endorsement, const Digest& offer,
                                     const IdentitySource& identity, WallTime at);

}  // namespace fedmeta
