#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "fedmeta/core/digest.h"
#include "fedmeta/core/result.h"

namespace fedmeta {

// The audit chain that a coordinator keeps and its clients countersign. An entry is one line of
// JSON, {"n": 1, ..., "hash": "..."}; its text is the line up to where `,"hash":` begins, and its
// hash is SHA-256 over "fedmeta audit entry v1", a zero byte, the hash before it (zeros before the
// first) and the SHA-256 of its text. So the digests of the texts alone show that one place of the
// chain follows from another.

inline constexpr std::string_view kAuditHeadDomain = "fedmeta audit head v1";
inline constexpr std::string_view kAuditCountersignatureDomain =
    "fedmeta audit countersignature v1";
inline constexpr std::string_view kEpochDomain = "fedmeta epoch v1";
/// Entries whose digests one head carries.
inline constexpr std::size_t kMaximumAuditStep = 16'384;

Digest NextAuditHash(const Digest& previous, const Digest& text);
/// From there over digests of 32 bytes each; kInvalidArgument for another length.
Result<Digest> FollowAuditChain(Digest from, std::string_view digests);

}  // namespace fedmeta
