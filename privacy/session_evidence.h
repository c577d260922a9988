#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "fedmeta/core/digest.h"
#include "fedmeta/core/result.h"
#include "fedmeta/protocol/round_key.h"

namespace fedmeta {

/// What identifies a session whose members are asked to open it, for records of it.
struct SessionEvidence {
  Digest session;                    ///< which all of its messages from R1 on are signed with
  std::vector<std::string> members;  ///< identities, sorted
  std::vector<Digest> receipts;      ///< in the order of the members; SHA-256 of v1::SignedMessage
};
/// Of what SecureServer::Snapshot made; `key` as SecureKey gives it. Signatures are not looked at:
/// the server has verified them. kDataLoss: damaged.
Result<SessionEvidence> EvidenceOf(const std::string& federation, const RoundKey& key,
                                   std::uint32_t group, const std::string& snapshot);

}  // namespace fedmeta
