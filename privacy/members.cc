#include "fedmeta/privacy/members.h"

#include <utility>

#include "fedmeta/privacy/key_agreement.h"

namespace fedmeta {
namespace {

Error Refused(const std::string& who, const std::string& why) {
  return {ErrorCode::kPermissionDenied, "secure aggregation: " + who + ": " + why};
}

Error BadSignature(const std::string& who, const char* what) {
  return Refused(who,
                 std::string("the signature of its ") + what + " does not hold for this session");
}

Status CheckSubject(const SessionSubject& subject, const Member& member) {
  const v1::AdvertisementBody& body = member.body;
  if (body.plan_hash() != subject.plan_hash.bytes())
    return Refused(member.identity, "it was given another plan");
  if (body.model_hash() != subject.model_hash.bytes())
    return Refused(member.identity, "it was given another model");
  if (body.ring_bits() != static_cast<std::uint32_t>(subject.bits) ||
      body.words() != subject.words) {
    return Refused(member.identity, "its vector has " + std::to_string(body.words()) +
                                        " words of " + std::to_string(body.ring_bits()) +
                                        " bits, not " + std::to_string(subject.words) + " of " +
                                        std::to_string(static_cast<std::uint32_t>(subject.bits)));
  }
  return {};
}

}  // namespace

Result<Member> CheckAdvertisement(const SessionContext& context, const SessionSubject& subject,
                                  const PeerVerifier& verifier,
                                  const v1::Advertisement& advertisement) {
  if (advertisement.certificate().size() > kMaximumCertificateBytes) {
    return Error(ErrorCode::kInvalidArgument,
                 "secure aggregation: a certificate must have at most " +
                     std::to_string(kMaximumCertificateBytes) + " bytes, got " +
                     std::to_string(advertisement.certificate().size()));
  }
  Member member;
  FEDMETA_ASSIGN_OR_RETURN(member.peer, verifier.Verify(advertisement.certificate()));
  member.identity = member.peer->identity().ToString();
  if (member.peer->identity().federation != context.federation ||
      member.peer->identity().role != IdentityRole::kClient) {
    return Refused(member.identity, "it is no client of " + context.federation);
  }
  const Placed place{.context = context, .message = SessionMessage::kAdvertisement};
  if (!VerifyBody(*member.peer, place, advertisement.statement()))
    return BadSignature(member.identity, "advertisement");
  FEDMETA_ASSIGN_OR_RETURN(
      member.body, ParseMessage<v1::AdvertisementBody>(advertisement.statement().body(),
                                                       "secure aggregation: advertisement"));
  if (member.body.identity() != member.identity ||
      member.body.certificate_hash() != member.peer->certificate_hash().bytes()) {
    return Refused(member.identity, "its advertisement is for another identity or certificate");
  }
  for (const std::string* key : {&member.body.share_key(), &member.body.mask_key()}) {
    if (key->size() != AgreementKey::kSize) {
      return Error(ErrorCode::kInvalidArgument, "secure aggregation: " + member.identity +
                                                    ": an X25519 key has 32 bytes, got " +
                                                    std::to_string(key->size()));
    }
  }
  const auto commitment = Digest::FromBytes(member.body.seed_commitment());
  if (!commitment.ok()) return commitment.error().WithContext("secure aggregation: commitment");
  member.seed_commitment = *commitment;
  FEDMETA_RETURN_IF_ERROR(CheckSubject(subject, member));
  member.advertisement = advertisement;
  return member;
}

Status CheckDistinct(std::span<const Member> members, const Member& further) {
  if (further.body.share_key() == further.body.mask_key())
    return Refused(further.identity, "it uses one key for two purposes");
  for (const Member& member : members) {
    const auto refused = [&](const char* what) {
      return Refused(further.identity, std::string(what) + " of " + member.identity);
    };
    if (member.identity == further.identity) return refused("it has the identity");
    if (member.peer->organisation() == further.peer->organisation())
      return refused("it belongs to the organisation");
    for (const std::string* key : {&further.body.share_key(), &further.body.mask_key()}) {
      if (*key == member.body.share_key() || *key == member.body.mask_key())
        return refused("it repeats a key");
    }
    if (member.seed_commitment == further.seed_commitment)
      return refused("it repeats the commitment");
  }
  return {};
}

Digest MemberSetOf(std::span<const Member> members) {
  FieldText fields;
  fields.Add("fedmeta secure aggregation 1 members");
  for (const Member& member : members) fields.Add(member.identity).Add(member.peer->organisation());
  return fields.Hash();
}

Digest SessionOf(const SessionContext& context, std::span<const Member> members) {
  std::vector<std::string_view> bodies;
  for (const Member& member : members) bodies.push_back(member.advertisement.statement().body());
  return SessionDigest(context, bodies);
}

Result<std::vector<Digest>> CheckShareHashes(const Placed& place, const Member& sender,
                                             std::size_t members,
                                             const v1::SignedMessage& message) {
  if (!VerifyBody(*sender.peer, place, message))
    return BadSignature(sender.identity, "share hashes");
  FEDMETA_ASSIGN_OR_RETURN(const auto body, ParseMessage<v1::ShareHashesBody>(
                                                message.body(), "secure aggregation: hashes"));
  std::vector<Digest> hashes;
  for (const std::string& bytes : body.hashes()) {
    FEDMETA_ASSIGN_OR_RETURN(const Digest hash, Digest::FromBytes(bytes));
    hashes.push_back(hash);
  }
  if (hashes.size() != members) {
    return Error(ErrorCode::kInvalidArgument,
                 "secure aggregation: " + sender.identity + ": hashes of shares must be " +
                     std::to_string(members) + ", got " + std::to_string(hashes.size()));
  }
  return hashes;
}

Result<Digest> CheckReceipt(const Placed& place, const Member& sender,
                            const v1::SignedMessage& message) {
  if (!VerifyBody(*sender.peer, place, message)) return BadSignature(sender.identity, "receipt");
  FEDMETA_ASSIGN_OR_RETURN(const auto body, ParseMessage<v1::ReceiptBody>(
                                                message.body(), "secure aggregation: receipt"));
  return Digest::FromBytes(body.vector_hash());
}

}  // namespace fedmeta
