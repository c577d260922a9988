#pragma once

#include <cstddef>
#include <string_view>

#include "fedmeta/core/digest.h"
#include "fedmeta/core/secret_bytes.h"
#include "fedmeta/privacy/shamir.h"
#include "fedmeta/privacy/share_cipher.h"

// For this room only: which key is derived from what. Each key carries its purpose, the session and
// the identities it is between, and serves once.
namespace fedmeta {

inline constexpr std::size_t kSeedBytes = 32;
/// A share as it is sent and opened: a salt, then the share itself.
inline constexpr std::size_t kSaltBytes = 32;
inline constexpr std::size_t kSaltedShareBytes = kSaltBytes + ShareBytes(kSeedBytes);
inline constexpr std::size_t kSealedShareBytes = kSaltedShareBytes + kSealOverhead;

/// Of one direction: a share reflected to its sender opens nothing.
SecretBytes ShareKey(const SecretBytes& agreed, const Digest& session, std::string_view source,
                     std::string_view destination);
/// Of both ends, in either order.
SecretBytes PairMaskKey(const SecretBytes& agreed, const Digest& session, std::string_view one,
                        std::string_view other);
SecretBytes SelfMaskKey(const SecretBytes& seed, const Digest& session, std::string_view identity);

Digest SeedCommitment(const SecretBytes& seed, std::string_view identity);
SecretBytes SaltedShare(const SecretBytes& salt, const SecretBytes& share);
/// Of a salted share.
Digest ShareHash(const Digest& session, std::string_view source, std::string_view destination,
                 std::string_view salted_share);
/// What is authenticated with a sealed share.
std::string ShareAddress(const Digest& session, std::string_view source,
                         std::string_view destination);

}  // namespace fedmeta
