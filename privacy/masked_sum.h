#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "fedmeta/core/result.h"
#include "fedmeta/core/secret_bytes.h"
#include "fedmeta/privacy/ring_vector.h"

namespace fedmeta {

/// The sum of a session's masked vectors, for the thread that does the coordinator's heavy work.
/// Not thread-safe.
class MaskedSum {
 public:
  /// `zero`: a vector of the session's form, all zeros.
  explicit MaskedSum(RingVector zero) : sum_(std::move(zero)) {}

  /// One member's upload, whose hash is that of its receipt (SecureServer::AddReceipt).
  /// kInvalidArgument: another size.
  Status Add(std::span<const std::byte> masked);
  /// In its wire form; valid until the next call.
  std::span<const std::byte> bytes();
  /// Pairwise masks have cancelled once all members are added; takes the self masks off.
  RingVector Unmask(std::span<const SecretBytes> self_mask_keys) &&;

 private:
  RingVector sum_;
  Bytes bytes_;
};

}  // namespace fedmeta
