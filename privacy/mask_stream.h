#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "fedmeta/core/secret_bytes.h"
#include "fedmeta/privacy/ring_vector.h"

// For this room only.
namespace fedmeta {

enum class MaskSign : std::uint8_t { kAdd, kSubtract };

/// One mask: the key stream of AES-256 in counter mode from a zero block (NIST SP 800-38A), read as
/// little-endian words. A constant of the protocol, on every processor. A key of 32 bytes masks one
/// vector in its life.
struct MaskTerm {
  const SecretBytes* key;  ///< outlives the call
  MaskSign sign;
};
/// Adds masks to a vector, or takes them off, all in one pass over its words, on at most so many
/// threads.
void ApplyMasks(std::span<const MaskTerm> masks, RingVector& vector, std::size_t threads = 1);
inline void ApplyMask(const SecretBytes& key, MaskSign sign, RingVector& vector) {
  const MaskTerm one{.key = &key, .sign = sign};
  ApplyMasks({&one, 1}, vector);
}

}  // namespace fedmeta
