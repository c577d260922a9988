#include "fedmeta/privacy/session_evidence.h"

#include <string_view>

#include "fedmeta/privacy/session_context.h"
#include "fedmeta/v1/secure.pb.h"

namespace fedmeta {

Result<SessionEvidence> EvidenceOf(const std::string& federation, const RoundKey& key,
                                   std::uint32_t group, const std::string& snapshot) {
  const Error damaged(ErrorCode::kDataLoss, "secure aggregation: the stored session of " +
                                                key.ToString() + " is damaged: restore a backup");
  v1::SessionSnapshot stored;
  if (!stored.ParseFromString(snapshot)) return damaged;
  SessionEvidence evidence;
  std::vector<std::string_view> bodies;
  for (const v1::Advertisement& member : stored.roster().members()) {
    v1::AdvertisementBody body;
    if (!body.ParseFromString(member.statement().body())) return damaged;
    evidence.members.push_back(body.identity());
    bodies.push_back(member.statement().body());
  }
  for (const v1::SignedMessage& receipt : stored.receipts())
    evidence.receipts.push_back(Digest::Of(receipt.SerializeAsString()));
  evidence.session = SessionDigest({.federation = federation, .key = key, .group = group}, bodies);
  return evidence;
}

}  // namespace fedmeta
