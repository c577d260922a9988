#pragma once

#include <cstddef>
#include <string_view>

#include "fedmeta/core/secret_bytes.h"

// For this room only.
namespace fedmeta {

/// HKDF-SHA256 (RFC 5869): a key of `size` bytes, at most 255 x 32, out of `secret`; `info` says
/// what for.
SecretBytes Hkdf(std::string_view secret, std::string_view salt, std::string_view info,
                 std::size_t size = 32);

}  // namespace fedmeta
