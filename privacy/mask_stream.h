#pragma once

#include <cstdint>

#include "fedmeta/core/secret_bytes.h"
#include "fedmeta/privacy/ring_vector.h"

// For this room only.
namespace fedmeta {

enum class MaskSign : std::uint8_t { kAdd, kSubtract };

/// Adds the mask of a key (32 bytes) to a vector, or takes it off: the key stream of AES-256 in
/// counter mode from a zero block (NIST SP 800-38A), read as little-endian words. A constant of the
/// protocol, on every processor. A key masks one vector in its life.
void ApplyMask(const SecretBytes& key, MaskSign sign, RingVector& vector);

}  // namespace fedmeta
