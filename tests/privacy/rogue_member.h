#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "secure_fixture.h"

#include "fedmeta/core/bytes.h"
#include "fedmeta/privacy/key_agreement.h"
#include "fedmeta/privacy/mask_stream.h"
#include "fedmeta/privacy/secret_rng.h"
#include "fedmeta/privacy/session_context.h"
#include "fedmeta/privacy/session_keys.h"

namespace fedmeta {

/// A member with a good certificate that follows the protocol as far as a test wants it to. Signs
/// whatever it likes.
class RogueMember {
 public:
  /// Of the plain share (sent) or the salted one (opened) of the member with that rank.
  using ChangeShare = std::function<void(std::size_t, std::string&)>;

  RogueMember(const SecureFederation& federation, const std::string& name)
      : signer_(federation.authority().Admit(name)),
        share_key_(SecretRng().Draw(32)),
        mask_key_(SecretRng().Draw(32)),
        seed_(SecretRng().Draw(kSeedBytes)) {}

  ClientId id() const { return ClientId(signer_->identity().name); }
  std::string identity() const { return signer_->identity().ToString(); }

  std::string Advertise(const SecureClient::Start& start,
                        const std::function<void(v1::AdvertisementBody&)>& change = {}) {
    context_ = {.federation = kFederation, .key = start.key, .group = start.group};
    v1::AdvertisementBody body;
    body.set_identity(identity());
    body.set_share_key(share_key_.public_key());
    body.set_mask_key(mask_key_.public_key());
    body.set_seed_commitment(SeedCommitment(seed_, identity()).bytes());
    body.set_plan_hash(start.plan_hash.bytes());
    body.set_model_hash(start.model_hash.bytes());
    body.set_certificate_hash(signer_->certificate_hash().bytes());
    body.set_ring_bits(static_cast<std::uint32_t>(start.bits));
    body.set_words(start.words);
    if (change) change(body);
    v1::Advertisement advertisement;
    *advertisement.mutable_statement() =
        SignBody(*signer_, {.context = context_, .message = SessionMessage::kAdvertisement},
                 body.SerializeAsString())
            .value();
    advertisement.set_certificate(signer_->certificate());
    return advertisement.SerializeAsString();
  }

  /// With `change`, a share of 36 bytes is changed before it is hashed; one of another length only
  /// in the sealed message.
  std::string Share(const std::string& roster_bytes, const ChangeShare& change) {
    v1::SessionRoster roster;
    EXPECT_TRUE(roster.ParseFromString(roster_bytes));
    std::vector<std::string_view> bodies;
    for (const auto& member : roster.members()) {
      bodies.push_back(member.statement().body());
      v1::AdvertisementBody body;
      EXPECT_TRUE(body.ParseFromString(member.statement().body()));
      if (body.identity() == identity()) rank_ = members_.size();
      members_.push_back(std::move(body));
    }
    session_ = SessionDigest(context_, bodies);
    SecretRng rng;
    const auto shares = SplitSecret(seed_, OpeningThreshold(members_.size()), members_.size(), rng);
    v1::Shares reply;
    v1::ShareHashesBody hashes;
    opened_.assign(members_.size(), "");
    for (std::size_t i = 0; i < members_.size(); ++i) {
      const std::string& to = members_[i].identity();
      std::string share(shares[i].Expose());
      if (change) change(i, share);
      const bool hashed = share.size() == shares[i].Expose().size();
      const SecretBytes salted = SaltedShare(rng.Draw(kSaltBytes), SecretBytes(share));
      hashes.add_hashes(hashed ? ShareHash(session_, identity(), to, salted.Expose()).bytes()
                               : ShareHash(session_, identity(), to, shares[i].Expose()).bytes());
      reply.add_sealed();
      if (i == rank_) {
        opened_[i] = salted.Expose();
        continue;
      }
      const auto agreed = share_key_.Agree(members_[i].share_key()).value();
      std::string text(salted.Expose());
      text.resize(kSaltedShareBytes);  // another length would show on the wire
      reply.set_sealed(static_cast<int>(i), Seal(ShareKey(agreed, session_, identity(), to),
                                                 ShareAddress(session_, identity(), to), text));
    }
    *reply.mutable_hashes() = Sign(SessionMessage::kShareHashes, hashes.SerializeAsString());
    return reply.SerializeAsString();
  }

  struct Masked {
    std::string receipt;
    std::span<const std::byte> vector;
  };
  Masked Mask(const std::string& delivery_bytes, RingVector vector) {
    v1::ShareDelivery delivery;
    EXPECT_TRUE(delivery.ParseFromString(delivery_bytes));
    ApplyMask(SelfMaskKey(seed_, session_, identity()), MaskSign::kAdd, vector);
    for (std::size_t i = 0; i < members_.size(); ++i) {
      if (i == rank_) continue;
      const std::string& other = members_[i].identity();
      const auto shares = share_key_.Agree(members_[i].share_key()).value();
      opened_[i] = OpenSealed(ShareKey(shares, session_, other, identity()),
                              ShareAddress(session_, other, identity()),
                              delivery.members(static_cast<int>(i)).sealed())
                       .value()
                       .Expose();
      ApplyMask(
          PairMaskKey(mask_key_.Agree(members_[i].mask_key()).value(), session_, identity(), other),
          rank_ < i ? MaskSign::kAdd : MaskSign::kSubtract, vector);
    }
    masked_ = vector.ToBytes();
    return {.receipt = Receipt(Digest::Of(masked_)).SerializeAsString(), .vector = masked_};
  }
  v1::SignedMessage Receipt(const Digest& vector_hash) const {
    v1::ReceiptBody body;
    body.set_vector_hash(vector_hash.bytes());
    return Sign(SessionMessage::kReceipt, body.SerializeAsString());
  }

  std::string Open(const ChangeShare& change) const {
    v1::OpeningBody body;
    for (std::size_t i = 0; i < opened_.size(); ++i) {
      std::string salted = opened_[i];
      if (change) change(i, salted);
      body.add_shares(salted);
    }
    return Sign(SessionMessage::kOpening, body.SerializeAsString()).SerializeAsString();
  }

  const Digest& session() const { return session_; }
  v1::SignedMessage Sign(SessionMessage message, std::string body) const {
    return SignBody(*signer_, {.context = context_, .message = message, .session = &session_},
                    std::move(body))
        .value();
  }

 private:
  std::shared_ptr<const Signer> signer_;
  AgreementKey share_key_, mask_key_;
  SecretBytes seed_;
  SessionContext context_;
  std::vector<v1::AdvertisementBody> members_;
  std::size_t rank_ = 0;
  Digest session_;
  std::vector<std::string> opened_;
  Bytes masked_;
};

}  // namespace fedmeta
