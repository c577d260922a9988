#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "fedmeta/core/secret_bytes.h"

// For this room only.
namespace fedmeta {

inline constexpr std::size_t kSealOverhead = 16;
inline constexpr std::string_view kZeroNonce{"\0\0\0\0\0\0\0\0\0\0\0", 12};

/// ChaCha20-Poly1305 (RFC 8439) with a key of 32 bytes that seals one message in its life, so that
/// the nonce is zeros. `context` (source, destination, session) is authenticated, not sent.
std::string Seal(const SecretBytes& key, std::string_view context, std::string_view text,
                 std::string_view nonce = kZeroNonce);
/// Nothing: not sealed with this key and context, or changed on the way.
std::optional<SecretBytes> OpenSealed(const SecretBytes& key, std::string_view context,
                                      std::string_view sealed, std::string_view nonce = kZeroNonce);

}  // namespace fedmeta
