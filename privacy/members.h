#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "fedmeta/privacy/ring_vector.h"
#include "fedmeta/privacy/session_context.h"

// For this room only: the checks of advertisements and rosters that both sides make.
namespace fedmeta {

/// What all members of a session must have in common.
struct SessionSubject {
  Digest plan_hash, model_hash;
  RingBits bits = RingBits::k32;
  std::uint64_t words = 0;
};

/// A client whose advertisement was verified.
struct Member {
  std::shared_ptr<const Peer> peer;
  std::string identity;
  v1::Advertisement advertisement;
  v1::AdvertisementBody body;
  Digest seed_commitment;
};

/// Certificate, identity, federation, fingerprint, signature, sizes and subject of one
/// advertisement. kInvalidArgument, kPermissionDenied, or the verifier's error.
Result<Member> CheckAdvertisement(const SessionContext& context, const SessionSubject& subject,
                                  const PeerVerifier& verifier,
                                  const v1::Advertisement& advertisement);

/// That a further member shares no identity, organisation, key or commitment with those before it:
/// kPermissionDenied, naming both.
Status CheckDistinct(std::span<const Member> members, const Member& further);

/// SessionFacts::member_set of members sorted by identity: who they are, whatever their keys.
Digest MemberSetOf(std::span<const Member> members);
/// Of members sorted by identity.
Digest SessionOf(const SessionContext& context, std::span<const Member> members);

/// A SignedMessage of ShareHashesBody, verified: one hash a member.
Result<std::vector<Digest>> CheckShareHashes(const Placed& place, const Member& sender,
                                             std::size_t members, const v1::SignedMessage& message);
/// A SignedMessage of ReceiptBody, verified: the hash of the sender's vector.
Result<Digest> CheckReceipt(const Placed& place, const Member& sender,
                            const v1::SignedMessage& message);

}  // namespace fedmeta
