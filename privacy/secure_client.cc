#include "fedmeta/privacy/secure_client.h"

#include <algorithm>
#include <map>
#include <tuple>
#include <utility>

#include "fedmeta/identity/identity_uri.h"
#include "fedmeta/privacy/key_agreement.h"
#include "fedmeta/privacy/mask_stream.h"
#include "fedmeta/privacy/members.h"
#include "fedmeta/privacy/secret_rng.h"
#include "fedmeta/privacy/session_context.h"
#include "fedmeta/privacy/session_keys.h"

namespace fedmeta {
namespace {

Error Refused(ErrorCode code, const std::string& why) {
  return {code, "secure aggregation: " + why};
}

/// A request and what it was answered with.
struct Answer {
  std::string request, reply;
};

/// From an advertisement until the next one or the first thing that is not right. What is secret
/// goes with it.
struct Session {
  SecureClient::Start start;
  SessionContext context;
  std::shared_ptr<const Signer> signer;
  std::string reply;  // the advertisement as sent
  v1::Advertisement advertisement;
  AgreementKey share_key, mask_key;
  SecretBytes seed;

  // Since the roster.
  std::vector<Member> members;
  std::size_t rank = 0;  // of this client, from 0
  Digest digest, member_set;
  std::vector<SecretBytes> incoming_keys;  // of the members' shares for this client
  std::vector<SecretBytes> mask_keys;      // with the members
  std::vector<SecretBytes> held;           // salted shares, of each member's seed; here first only
                                           // the own one
  // Since the masking.
  RingVector masked;
  Bytes packed;
  std::span<const std::byte> upload;  // of the two
  Digest upload_hash = {};
  v1::SignedMessage receipt;

  std::optional<Answer> shared, masked_answer, opened;

  Placed Place(SessionMessage message) const {
    return {.context = context, .message = message, .session = &digest};
  }
  const Member& own() const { return members[rank]; }
};

bool SameStart(const SecureClient::Start& a, const SecureClient::Start& b) {
  return a.key == b.key && a.group == b.group && a.plan_hash == b.plan_hash &&
         a.model_hash == b.model_hash && a.bits == b.bits && a.words == b.words;
}

}  // namespace

struct SecureClient::Content {
  explicit Content(Options given) : options(std::move(given)) {}

  Options options;
  SecretRng rng;
  std::unique_ptr<Session> session;
  std::optional<std::string> complaint;
  /// Newest (round, attempt, session) by (experiment, purpose).
  using Order = std::tuple<std::uint64_t, std::uint32_t, std::uint32_t>;
  std::map<std::pair<ExperimentId, Purpose>, Order> seen;

  SessionFacts Facts(const Start& start) const;
  Result<std::string> Begin(const Start& start);
  Result<std::string> MakeShares(Session& now, std::string_view request);
  Status AdmitMembers(Session& now, const v1::SessionRoster& roster) const;
  Status CheckPolicy(const Member& member) const;
  Status CheckShares(Session& now, const v1::ShareDelivery& delivery);
  Status CheckShare(Session& now, std::size_t from, const v1::ShareDelivery::FromMember& sent);
  Error Complain(const Session& now, std::size_t about, const std::string& why);
  Result<std::string> MaskVector(Session& now, std::string_view request, RingVector vector);
  static void ApplySessionMasks(const Session& now, RingVector& vector);
  Result<std::string> OpenShares(Session& now, std::string_view request);

  /// One phase: answers once, repeats itself, and ends the session at anything else. The phase
  /// before must have been answered.
  template <typename Work>
  Result<std::string> Once(std::optional<Answer> Session::*answer,
                           std::optional<Answer> Session::*before, std::string_view request,
                           Work&& work);
};

SessionFacts SecureClient::Content::Facts(const Start& start) const {
  SessionFacts facts{.key = start.key,
                     .group = start.group,
                     .plan_hash = start.plan_hash,
                     .model_hash = start.model_hash};
  if (session && SameStart(session->start, start)) {
    facts.session = session->digest;
    facts.members = static_cast<std::uint32_t>(session->members.size());
    facts.member_set = session->member_set;
  }
  return facts;
}

template <typename Work>
Result<std::string> SecureClient::Content::Once(std::optional<Answer> Session::*answer,
                                                std::optional<Answer> Session::*before,
                                                std::string_view request, Work&& work) {
  if (!session) {
    return Refused(ErrorCode::kFailedPrecondition,
                   "there is no session at this client; it ended, or was never begun");
  }
  Session& now = *session;
  std::optional<Answer>& answered = now.*answer;
  if (answered && answered->request == request) return answered->reply;
  Result<std::string> reply = [&]() -> Result<std::string> {
    if (answered) return Refused(ErrorCode::kAlreadyExists, "a phase was asked twice, differently");
    if (before != nullptr && !(now.*before))
      return Refused(ErrorCode::kFailedPrecondition, "a phase was asked before the one it needs");
    return work(now);
  }();
  if (reply.ok()) {
    answered = Answer{.request = std::string(request), .reply = *reply};
  } else {
    session.reset();
  }
  return reply;
}

// ---- R0

Result<std::string> SecureClient::Content::Begin(const Start& start) {
  session.reset();
  auto begun = std::make_unique<Session>();
  begun->start = start;
  begun->context = {.federation = options.federation, .key = start.key, .group = start.group};
  FEDMETA_ASSIGN_OR_RETURN(begun->signer, options.signer());
  begun->share_key = AgreementKey(rng.Draw(AgreementKey::kSize));
  begun->mask_key = AgreementKey(rng.Draw(AgreementKey::kSize));
  begun->seed = rng.Draw(kSeedBytes);
  const std::string identity = begun->signer->identity().ToString();
  v1::AdvertisementBody body;
  body.set_identity(identity);
  body.set_share_key(begun->share_key.public_key());
  body.set_mask_key(begun->mask_key.public_key());
  body.set_seed_commitment(SeedCommitment(begun->seed, identity).bytes());
  body.set_plan_hash(start.plan_hash.bytes());
  body.set_model_hash(start.model_hash.bytes());
  body.set_certificate_hash(begun->signer->certificate_hash().bytes());
  body.set_ring_bits(static_cast<std::uint32_t>(start.bits));
  body.set_words(start.words);
  const Placed place{.context = begun->context, .message = SessionMessage::kAdvertisement};
  FEDMETA_ASSIGN_OR_RETURN(*begun->advertisement.mutable_statement(),
                           SignBody(*begun->signer, place, body.SerializeAsString()));
  begun->advertisement.set_certificate(begun->signer->certificate());
  begun->reply = begun->advertisement.SerializeAsString();
  session = std::move(begun);
  return session->reply;
}

// ---- R1

Status SecureClient::Content::CheckPolicy(const Member& member) const {
  const bool pinned = std::any_of(
      options.policy.members.begin(), options.policy.members.end(),
      [&](const std::string& pattern) { return MemberMatches(pattern, member.peer->identity()); });
  if (pinned) return {};
  return Refused(ErrorCode::kPermissionDenied,
                 member.identity + " is not among the members that this site's policy names");
}

Status SecureClient::Content::AdmitMembers(Session& now, const v1::SessionRoster& roster) const {
  const auto size = static_cast<std::size_t>(roster.members_size());
  if (size < options.policy.minimum_members || size > kLargestSession) {
    return Refused(ErrorCode::kPermissionDenied,
                   "the session must have " + std::to_string(options.policy.minimum_members) +
                       " to " + std::to_string(kLargestSession) + " members, got " +
                       std::to_string(size));
  }
  const SessionSubject subject{.plan_hash = now.start.plan_hash,
                               .model_hash = now.start.model_hash,
                               .bits = now.start.bits,
                               .words = now.start.words};
  const std::string own = now.advertisement.SerializeAsString();
  std::size_t own_entries = 0;
  for (const v1::Advertisement& advertisement : roster.members()) {
    FEDMETA_ASSIGN_OR_RETURN(
        Member member, CheckAdvertisement(now.context, subject, *options.verifier, advertisement));
    FEDMETA_RETURN_IF_ERROR(CheckPolicy(member));
    FEDMETA_RETURN_IF_ERROR(CheckDistinct(now.members, member));
    if (!now.members.empty() && !(now.members.back().identity < member.identity))
      return Refused(ErrorCode::kInvalidArgument, "the roster is not sorted by identity");
    if (member.identity == now.signer->identity().ToString()) {
      if (advertisement.SerializeAsString() != own)
        return Refused(ErrorCode::kPermissionDenied,
                       "the roster holds another advertisement of this client than it sent");
      now.rank = now.members.size();
      ++own_entries;
    }
    now.members.push_back(std::move(member));
  }
  if (own_entries != 1)
    return Refused(ErrorCode::kPermissionDenied, "the roster does not hold this client");
  return {};
}

Result<std::string> SecureClient::Content::MakeShares(Session& now, std::string_view request) {
  FEDMETA_ASSIGN_OR_RETURN(const auto roster, ParseMessage<v1::SessionRoster>(
                                                  request, "secure aggregation: the roster"));
  FEDMETA_RETURN_IF_ERROR(AdmitMembers(now, roster));
  now.digest = SessionOf(now.context, now.members);
  now.member_set = MemberSetOf(now.members);
  // Who would refuse to mask for these members says so before anybody has masked.
  FEDMETA_RETURN_IF_ERROR(options.latch->CheckStart(Facts(now.start)));
  const std::size_t count = now.members.size();
  const std::vector<SecretBytes> shares =
      SplitSecret(now.seed, OpeningThreshold(count), count, rng);
  const std::string& self = now.own().identity;
  v1::Shares reply;
  v1::ShareHashesBody hashes;
  now.held.resize(count);
  for (std::size_t i = 0; i < count; ++i) {
    const Member& member = now.members[i];
    SecretBytes salted = SaltedShare(rng.Draw(kSaltBytes), shares[i]);
    hashes.add_hashes(ShareHash(now.digest, self, member.identity, salted.Expose()).bytes());
    if (i == now.rank) {
      now.held[i] = std::move(salted);
      now.incoming_keys.emplace_back();
      now.mask_keys.emplace_back();
      reply.add_sealed();
      continue;
    }
    const auto shared = now.share_key.Agree(member.body.share_key());
    const auto masked = now.mask_key.Agree(member.body.mask_key());
    for (const auto* agreed : {&shared, &masked}) {
      if (!agreed->ok())
        return agreed->error().WithContext("secure aggregation: " + member.identity);
    }
    now.mask_keys.push_back(PairMaskKey(*masked, now.digest, self, member.identity));
    now.incoming_keys.push_back(ShareKey(*shared, now.digest, member.identity, self));
    reply.add_sealed(Seal(ShareKey(*shared, now.digest, self, member.identity),
                          ShareAddress(now.digest, self, member.identity), salted.Expose()));
  }
  FEDMETA_ASSIGN_OR_RETURN(
      *reply.mutable_hashes(),
      SignBody(*now.signer, now.Place(SessionMessage::kShareHashes), hashes.SerializeAsString()));
  return reply.SerializeAsString();
}

// ---- R2

Error SecureClient::Content::Complain(const Session& now, std::size_t about,
                                      const std::string& why) {
  const std::string& identity = now.members[about].identity;
  v1::ComplaintBody body;
  body.set_identity(identity);
  const auto message =
      SignBody(*now.signer, now.Place(SessionMessage::kComplaint), body.SerializeAsString());
  if (message.ok()) complaint = message->SerializeAsString();
  return Refused(ErrorCode::kDataLoss, "the share of " + identity + " " + why);
}

Status SecureClient::Content::CheckShare(Session& now, std::size_t from,
                                         const v1::ShareDelivery::FromMember& sent) {
  const Member& sender = now.members[from];
  const std::string& self = now.own().identity;
  FEDMETA_ASSIGN_OR_RETURN(const std::vector<Digest> hashes,
                           CheckShareHashes(now.Place(SessionMessage::kShareHashes), sender,
                                            now.members.size(), sent.hashes()));
  std::optional<SecretBytes> salted = OpenSealed(
      now.incoming_keys[from], ShareAddress(now.digest, sender.identity, self), sent.sealed());
  if (!salted || salted->Expose().size() != kSaltedShareBytes)
    return Complain(now, from, "cannot be opened");
  if (ShareHash(now.digest, sender.identity, self, salted->Expose()) != hashes[now.rank])
    return Complain(now, from, "is not the one that it signed");
  now.held[from] = std::move(*salted);
  return {};
}

Status SecureClient::Content::CheckShares(Session& now, const v1::ShareDelivery& delivery) {
  if (static_cast<std::size_t>(delivery.members_size()) != now.members.size()) {
    return Refused(ErrorCode::kInvalidArgument,
                   "shares must come from " + std::to_string(now.members.size()) +
                       " members, got " + std::to_string(delivery.members_size()));
  }
  for (std::size_t i = 0; i < now.members.size(); ++i) {
    const auto& sent = delivery.members(static_cast<int>(i));
    if (i != now.rank) {
      FEDMETA_RETURN_IF_ERROR(CheckShare(now, i, sent));
    } else if (sent.ByteSizeLong() != 0) {
      return Refused(ErrorCode::kInvalidArgument, "a client's own share is not for the wire");
    }
  }
  return {};
}

void SecureClient::Content::ApplySessionMasks(const Session& now, RingVector& vector) {
  const SecretBytes own = SelfMaskKey(now.seed, now.digest, now.own().identity);
  std::vector<MaskTerm> masks = {{&own, MaskSign::kAdd}};
  for (std::size_t i = 0; i < now.members.size(); ++i) {
    if (i != now.rank)
      masks.push_back({&now.mask_keys[i], now.rank < i ? MaskSign::kAdd : MaskSign::kSubtract});
  }
  ApplyMasks(masks, vector);
}

Result<std::string> SecureClient::Content::MaskVector(Session& now, std::string_view request,
                                                      RingVector vector) {
  if (vector.bits() != now.start.bits || vector.size() != now.start.words) {
    return Refused(ErrorCode::kInvalidArgument, "the vector to mask must have " +
                                                    std::to_string(now.start.words) +
                                                    " words, got " + std::to_string(vector.size()));
  }
  FEDMETA_ASSIGN_OR_RETURN(const auto delivery, ParseMessage<v1::ShareDelivery>(
                                                    request, "secure aggregation: the shares"));
  FEDMETA_RETURN_IF_ERROR(CheckShares(now, delivery));
  FEDMETA_RETURN_IF_ERROR(options.latch->RecordMasked(Facts(now.start)));
  ApplySessionMasks(now, vector);
  Bytes packed;
  const std::span<const std::byte> upload = vector.Wire(packed);
  const Digest hash = Digest::Of(upload);
  v1::ReceiptBody body;
  body.set_vector_hash(hash.bytes());
  FEDMETA_ASSIGN_OR_RETURN(now.receipt, SignBody(*now.signer, now.Place(SessionMessage::kReceipt),
                                                 body.SerializeAsString()));
  // Moved, both keep the bytes where they are.
  now.masked = std::move(vector);
  now.packed = std::move(packed);
  now.upload = upload;
  now.upload_hash = hash;
  return now.receipt.SerializeAsString();
}

// ---- R3

Result<std::string> SecureClient::Content::OpenShares(Session& now, std::string_view request) {
  FEDMETA_ASSIGN_OR_RETURN(
      const auto opening,
      ParseMessage<v1::OpeningRequest>(request, "secure aggregation: the opening request"));
  if (static_cast<std::size_t>(opening.receipts_size()) != now.members.size()) {
    return Refused(ErrorCode::kPermissionDenied,
                   "an opening needs the receipts of " + std::to_string(now.members.size()) +
                       " members, got " + std::to_string(opening.receipts_size()));
  }
  for (std::size_t i = 0; i < now.members.size(); ++i) {
    const v1::SignedMessage& receipt = opening.receipts(static_cast<int>(i));
    FEDMETA_RETURN_IF_ERROR(
        CheckReceipt(now.Place(SessionMessage::kReceipt), now.members[i], receipt));
    if (i == now.rank && receipt.body() != now.receipt.body())
      return Refused(ErrorCode::kPermissionDenied, "the own receipt is not the one that was sent");
  }
  v1::OpeningBody body;
  for (const SecretBytes& salted : now.held) body.add_shares(std::string(salted.Expose()));
  FEDMETA_ASSIGN_OR_RETURN(
      const v1::SignedMessage message,
      SignBody(*now.signer, now.Place(SessionMessage::kOpening), body.SerializeAsString()));
  FEDMETA_RETURN_IF_ERROR(options.latch->RecordOpened(Facts(now.start)));
  // Nothing of it is needed again; the masked vector stays, to be uploaded once more if need be.
  now.seed = {};
  now.held.clear();
  now.incoming_keys.clear();
  now.mask_keys.clear();
  now.share_key = {};
  now.mask_key = {};
  return message.SerializeAsString();
}

// ---- The client

SecureClient::SecureClient(std::unique_ptr<Content> content) : content_(std::move(content)) {}
SecureClient::SecureClient(SecureClient&&) noexcept = default;
SecureClient& SecureClient::operator=(SecureClient&&) noexcept = default;
SecureClient::~SecureClient() = default;

Result<SecureClient> SecureClient::Create(Options options) {
  const MemberPolicy& policy = options.policy;
  if (policy.minimum_members < kSmallestSession || policy.minimum_members > kLargestSession) {
    return Refused(ErrorCode::kInvalidArgument, "the fewest members of a session must be " +
                                                    std::to_string(kSmallestSession) + " to " +
                                                    std::to_string(kLargestSession) + ", got " +
                                                    std::to_string(policy.minimum_members));
  }
  if (policy.members.empty()) {
    return Refused(ErrorCode::kInvalidArgument,
                   "no members are named: name identities or a pattern, "
                   "spiffe://<federation>/client/*");
  }
  return SecureClient(std::make_unique<Content>(std::move(options)));
}

Result<std::string> SecureClient::Advertise(const Start& start) {
  Content& content = *content_;
  if (content.session && SameStart(content.session->start, start)) return content.session->reply;
  if (start.words == 0)
    return Refused(ErrorCode::kInvalidArgument, "a vector must have words, got 0");
  const Content::Order order = {start.key.round, start.key.attempt, start.key.session};
  const auto seen = content.seen.find({start.key.experiment, start.key.purpose});
  if (seen != content.seen.end() && order <= seen->second) {
    return Refused(ErrorCode::kFailedPrecondition,
                   "session " + std::to_string(start.key.session) + " of " + start.key.ToString() +
                       " is not newer than what this client has seen");
  }
  FEDMETA_RETURN_IF_ERROR(content.options.latch->CheckStart(content.Facts(start)));
  content.seen[{start.key.experiment, start.key.purpose}] = order;
  content.complaint.reset();
  return content.Begin(start);
}

Result<std::string> SecureClient::Share(std::string_view roster) {
  return content_->Once(&Session::shared, nullptr, roster,
                        [&](Session& now) { return content_->MakeShares(now, roster); });
}

Result<SecureClient::Masked> SecureClient::Mask(std::string_view delivery, RingVector vector) {
  FEDMETA_ASSIGN_OR_RETURN(
      std::string receipt,
      content_->Once(&Session::masked_answer, &Session::shared, delivery, [&](Session& now) {
        return content_->MaskVector(now, delivery, std::move(vector));
      }));
  return Masked{.receipt = std::move(receipt),
                .vector = content_->session->upload,
                .vector_hash = content_->session->upload_hash};
}

Result<std::string> SecureClient::Open(std::string_view request) {
  return content_->Once(&Session::opened, &Session::masked_answer, request,
                        [&](Session& now) { return content_->OpenShares(now, request); });
}

const std::optional<std::string>& SecureClient::complaint() const { return content_->complaint; }

Digest SecureClient::session() const {
  return content_->session ? content_->session->digest : Digest();
}

std::size_t SecureClient::members() const {
  return content_->session ? content_->session->members.size() : 0;
}

void SecureClient::End() { content_->session.reset(); }

}  // namespace fedmeta
