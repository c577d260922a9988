#include "fedmeta/privacy/secure_server.h"

#include <algorithm>
#include <utility>

#include "fedmeta/privacy/key_agreement.h"
#include "fedmeta/privacy/members.h"
#include "fedmeta/privacy/secret_rng.h"
#include "fedmeta/privacy/seed_recovery.h"
#include "fedmeta/privacy/session_context.h"
#include "fedmeta/privacy/session_keys.h"
#include "fedmeta/privacy/threshold.h"

namespace fedmeta {
namespace {

Error Refused(ErrorCode code, const std::string& why) {
  return {code, "secure aggregation: " + why};
}

Error Late(const ClientId& client, const char* what) {
  return Refused(ErrorCode::kFailedPrecondition,
                 std::string(what) + " of " + client.value() + " has no place in this phase");
}

/// What one member has said so far.
struct Said {
  Member member;
  std::string advertised;  // bytes of each message, to recognise a repeated one
  std::string shared = {};
  std::vector<Digest> hashes = {};
  v1::SignedMessage signed_hashes = {};
  std::vector<std::string> sealed = {};
  std::string receipted = {};
  v1::SignedMessage receipt = {};
  std::string opened = {};
};

}  // namespace

struct SecureServer::Content {
  explicit Content(Options given)
      : options(std::move(given)),
        context{.federation = options.federation, .key = options.key, .group = options.group},
        subject{.plan_hash = options.plan_hash,
                .model_hash = options.model_hash,
                .bits = options.bits,
                .words = options.words} {}

  Options options;
  SessionContext context;
  SessionSubject subject;
  Phase phase = Phase::kAdvertise;
  std::vector<Said> said;  // sorted by identity: rank in the session
  std::vector<ClientId> members;
  std::vector<SecureFinding> findings;
  std::string roster;
  Digest digest;
  std::unique_ptr<SeedRecovery> recovery;

  Placed Place(SessionMessage message) const {
    return {.context = context, .message = message, .session = &digest};
  }
  /// Null: no member.
  Said* Find(const ClientId& client);
  std::size_t RankOf(const Said& said_by) const {
    return static_cast<std::size_t>(&said_by - said.data());
  }
  bool All(std::string Said::*message) const {
    return std::none_of(said.begin(), said.end(),
                        [&](const Said& one) { return (one.*message).empty(); });
  }
  Status Admit(Member member, std::string_view message);
  void FixMembers();
  Status ReadShares(Said& from, std::string_view message);
  Status ReadOpening(Said& from, std::string_view message);
  void Note(SecureFinding finding);

  /// One message of a member in its phase: an identical one again succeeds, another is refused.
  template <typename Read>
  Status Once(const ClientId& client, Phase expected, const char* what, std::string Said::*slot,
              std::string_view message, Read&& read);
};

Said* SecureServer::Content::Find(const ClientId& client) {
  const auto at = std::find(members.begin(), members.end(), client);
  return at == members.end() ? nullptr : &said[static_cast<std::size_t>(at - members.begin())];
}

void SecureServer::Content::Note(SecureFinding finding) {
  const auto same = [&](const SecureFinding& other) {
    return other.kind == finding.kind && other.client == finding.client &&
           other.other == finding.other;
  };
  if (std::none_of(findings.begin(), findings.end(), same)) findings.push_back(std::move(finding));
}

template <typename Read>
Status SecureServer::Content::Once(const ClientId& client, Phase expected, const char* what,
                                   std::string Said::*slot, std::string_view message, Read&& read) {
  Said* from = Find(client);
  if (from == nullptr) return Late(client, what);
  std::string& before = from->*slot;
  if (!before.empty() && before == message) return {};
  if (!before.empty()) {
    return Refused(ErrorCode::kAlreadyExists,
                   std::string("another ") + what + " of " + client.value() + " was accepted");
  }
  if (phase != expected) return Late(client, what);
  FEDMETA_RETURN_IF_ERROR(read(*from));
  before = message;
  return {};
}

// ---- R0

Status SecureServer::AddAdvertisement(const ClientId& client, std::string_view message) {
  Content& content = *content_;
  if (Said* before = content.Find(client); before != nullptr) {
    if (before->advertised == message) return {};
    return Refused(ErrorCode::kAlreadyExists,
                   "another advertisement of " + client.value() + " was accepted");
  }
  if (content.phase != Phase::kAdvertise) return Late(client, "the advertisement");
  if (content.said.size() == kLargestSession) {
    return Refused(ErrorCode::kResourceExhausted,
                   "a session has at most " + std::to_string(kLargestSession) + " members");
  }
  FEDMETA_ASSIGN_OR_RETURN(
      const auto advertisement,
      ParseMessage<v1::Advertisement>(message, "secure aggregation: advertisement"));
  FEDMETA_ASSIGN_OR_RETURN(
      Member member, CheckAdvertisement(content.context, content.subject, *content.options.verifier,
                                        advertisement));
  if (member.peer->identity().name != client.value()) {
    return Refused(ErrorCode::kPermissionDenied,
                   client.value() + " sent the advertisement of " + member.identity);
  }
  // Members would refuse the whole session for it.
  const AgreementKey probe(SecretRng().Draw(AgreementKey::kSize));
  for (const std::string* key : {&member.body.share_key(), &member.body.mask_key()}) {
    const auto agreed = probe.Agree(*key);
    if (!agreed.ok()) return agreed.error().WithContext("secure aggregation: " + member.identity);
  }
  return content.Admit(std::move(member), message);
}

Status SecureServer::Content::Admit(Member member, std::string_view message) {
  for (const Said& other : said)
    FEDMETA_RETURN_IF_ERROR(CheckDistinct(std::span(&other.member, 1), member));
  const auto at = std::lower_bound(said.begin(), said.end(), member,
                                   [](const Said& one, const Member& new_member) {
                                     return one.member.identity < new_member.identity;
                                   });
  members.insert(members.begin() + (at - said.begin()), ClientId(member.peer->identity().name));
  said.insert(at, Said{.member = std::move(member), .advertised = std::string(message)});
  return {};
}

void SecureServer::Content::FixMembers() {
  v1::SessionRoster message;
  std::vector<Member> fixed;
  for (const Said& one : said) {
    *message.add_members() = one.member.advertisement;
    fixed.push_back(one.member);
  }
  digest = SessionOf(context, fixed);
  roster = message.SerializeAsString();
  phase = Phase::kShare;
}

Result<std::string> SecureServer::Roster() {
  if (content_->phase == Phase::kAdvertise) {
    if (content_->said.size() < kSmallestSession) {
      return Refused(ErrorCode::kFailedPrecondition,
                     "a session needs " + std::to_string(kSmallestSession) + " members, got " +
                         std::to_string(content_->said.size()));
    }
    content_->FixMembers();
  }
  return content_->roster;
}

// ---- R1

Status SecureServer::Content::ReadShares(Said& from, std::string_view message) {
  FEDMETA_ASSIGN_OR_RETURN(auto shares,
                           ParseMessage<v1::Shares>(message, "secure aggregation: shares"));
  FEDMETA_ASSIGN_OR_RETURN(
      from.hashes, CheckShareHashes(Place(SessionMessage::kShareHashes), from.member, said.size(),
                                    shares.hashes()));
  std::vector<std::string> sealed(shares.sealed().begin(), shares.sealed().end());
  bool fits = sealed.size() == said.size();
  for (std::size_t i = 0; fits && i < sealed.size(); ++i)
    fits = sealed[i].size() == (i == RankOf(from) ? 0 : kSealedShareBytes);
  if (!fits) {
    return Refused(ErrorCode::kInvalidArgument,
                   from.member.identity + ": sealed shares must be one of " +
                       std::to_string(kSealedShareBytes) + " bytes for each other member");
  }
  from.sealed = std::move(sealed);
  from.signed_hashes = std::move(*shares.mutable_hashes());
  return {};
}

Status SecureServer::AddShares(const ClientId& client, std::string_view message) {
  Content& content = *content_;
  FEDMETA_RETURN_IF_ERROR(
      content.Once(client, Phase::kShare, "the message of shares", &Said::shared, message,
                   [&](Said& from) { return content.ReadShares(from, message); }));
  if (content.phase == Phase::kShare && content.All(&Said::shared)) content.phase = Phase::kMask;
  return {};
}

// ---- R2

Result<std::string> SecureServer::Delivery(const ClientId& client) const {
  const Content& content = *content_;
  const Said* to = content_->Find(client);
  if (to == nullptr || content.phase < Phase::kMask) return Late(client, "the delivery of shares");
  v1::ShareDelivery delivery;
  const std::size_t rank = content.RankOf(*to);
  for (const Said& from : content.said) {
    auto* entry = delivery.add_members();
    if (&from == to) continue;
    *entry->mutable_hashes() = from.signed_hashes;
    entry->set_sealed(from.sealed[rank]);
  }
  return delivery.SerializeAsString();
}

Status SecureServer::AddReceipt(const ClientId& client, std::string_view message,
                                const Digest& vector_hash) {
  Content& content = *content_;
  return content.Once(
      client, Phase::kMask, "the receipt", &Said::receipted, message, [&](Said& from) -> Status {
        FEDMETA_ASSIGN_OR_RETURN(
            auto receipt, ParseMessage<v1::SignedMessage>(message, "secure aggregation: receipt"));
        FEDMETA_ASSIGN_OR_RETURN(
            const Digest signed_hash,
            CheckReceipt(content.Place(SessionMessage::kReceipt), from.member, receipt));
        if (signed_hash != vector_hash) {
          return Refused(ErrorCode::kInvalidArgument,
                         "the receipt of " + client.value() + " is for another vector");
        }
        from.receipt = std::move(receipt);
        return {};
      });
}

Status SecureServer::AddComplaint(const ClientId& client, std::string_view message) {
  Content& content = *content_;
  const Said* from = content.Find(client);
  if (from == nullptr || content.phase != Phase::kMask) return Late(client, "the complaint");
  FEDMETA_ASSIGN_OR_RETURN(const auto complaint, ParseMessage<v1::SignedMessage>(
                                                     message, "secure aggregation: complaint"));
  if (!VerifyBody(*from->member.peer, content.Place(SessionMessage::kComplaint), complaint))
    return Refused(ErrorCode::kPermissionDenied, "the signature of a complaint does not hold");
  FEDMETA_ASSIGN_OR_RETURN(const auto body, ParseMessage<v1::ComplaintBody>(
                                                complaint.body(), "secure aggregation: complaint"));
  for (const Said& other : content.said) {
    if (&other == from || other.member.identity != body.identity()) continue;
    content.Note({.kind = SecureFinding::Kind::kDispute,
                  .client = client,
                  .other = ClientId(other.member.peer->identity().name)});
    return {};
  }
  return Refused(ErrorCode::kInvalidArgument, "a complaint about nobody in the session");
}

// ---- R3

Result<std::string> SecureServer::OpeningRequest() {
  Content& content = *content_;
  if (content.phase < Phase::kMask || !content.All(&Said::receipted)) {
    return Refused(ErrorCode::kFailedPrecondition, "receipts are missing: nothing can be opened");
  }
  if (content.phase == Phase::kMask) {
    content.phase = Phase::kOpen;
    content.recovery = std::make_unique<SeedRecovery>(content.said.size());
  }
  v1::OpeningRequest request;
  for (const Said& one : content.said) *request.add_receipts() = one.receipt;
  return request.SerializeAsString();
}

Result<std::string> SecureServer::Snapshot() const {
  const Content& content = *content_;
  if (content.phase != Phase::kOpen)
    return Refused(ErrorCode::kFailedPrecondition, "nothing is opened yet");
  v1::SessionSnapshot snapshot;
  for (const Said& one : content.said) {
    *snapshot.mutable_roster()->add_members() = one.member.advertisement;
    *snapshot.add_hashes() = one.signed_hashes;
    *snapshot.add_receipts() = one.receipt;
  }
  return snapshot.SerializeAsString();
}

Result<SecureServer> SecureServer::Restore(Options options, std::string_view snapshot) {
  v1::SessionSnapshot stored;
  if (!stored.ParseFromArray(snapshot.data(), static_cast<int>(snapshot.size())) ||
      stored.hashes_size() != stored.roster().members_size() ||
      stored.receipts_size() != stored.hashes_size()) {
    return Refused(ErrorCode::kDataLoss, "the stored session is damaged");
  }
  SecureServer server(std::move(options));
  Content& content = *server.content_;
  for (const v1::Advertisement& advertisement : stored.roster().members()) {
    FEDMETA_ASSIGN_OR_RETURN(Member member,
                             CheckAdvertisement(content.context, content.subject,
                                                *content.options.verifier, advertisement));
    FEDMETA_RETURN_IF_ERROR(content.Admit(std::move(member), advertisement.SerializeAsString()));
  }
  FEDMETA_RETURN_IF_ERROR(server.Roster());
  for (std::size_t i = 0; i < content.said.size(); ++i) {
    Said& one = content.said[i];
    one.signed_hashes = stored.hashes(static_cast<int>(i));
    one.receipt = stored.receipts(static_cast<int>(i));
    FEDMETA_ASSIGN_OR_RETURN(
        one.hashes, CheckShareHashes(content.Place(SessionMessage::kShareHashes), one.member,
                                     content.said.size(), one.signed_hashes));
    FEDMETA_RETURN_IF_ERROR(
        CheckReceipt(content.Place(SessionMessage::kReceipt), one.member, one.receipt));
    one.receipted = one.receipt.SerializeAsString();
  }
  content.phase = Phase::kMask;
  FEDMETA_RETURN_IF_ERROR(server.OpeningRequest());
  return server;
}

Status SecureServer::Content::ReadOpening(Said& from, std::string_view message) {
  FEDMETA_ASSIGN_OR_RETURN(const auto opening,
                           ParseMessage<v1::SignedMessage>(message, "secure aggregation: opening"));
  if (!VerifyBody(*from.member.peer, Place(SessionMessage::kOpening), opening)) {
    return Refused(ErrorCode::kPermissionDenied,
                   "the signature of the opening of " + from.member.identity + " does not hold");
  }
  FEDMETA_ASSIGN_OR_RETURN(const auto body, ParseMessage<v1::OpeningBody>(
                                                opening.body(), "secure aggregation: opening"));
  if (static_cast<std::size_t>(body.shares_size()) != said.size()) {
    return Refused(ErrorCode::kInvalidArgument, from.member.identity + ": opened shares must be " +
                                                    std::to_string(said.size()) + ", got " +
                                                    std::to_string(body.shares_size()));
  }
  const std::size_t holder = RankOf(from);
  for (std::size_t source = 0; source < said.size(); ++source) {
    const std::string& salted = body.shares(static_cast<int>(source));
    const Digest hash =
        ShareHash(digest, said[source].member.identity, from.member.identity, salted);
    if (salted.size() == kSaltedShareBytes && hash == said[source].hashes[holder]) {
      recovery->Add(source, holder, salted.substr(kSaltBytes));
    } else {
      Note({.kind = SecureFinding::Kind::kBadHolder, .client = members[holder]});
    }
  }
  return {};
}

Status SecureServer::AddOpening(const ClientId& client, std::string_view message) {
  Content& content = *content_;
  return content.Once(client, Phase::kOpen, "the opening", &Said::opened, message,
                      [&](Said& from) { return content.ReadOpening(from, message); });
}

bool SecureServer::CanReconstruct() const {
  return content_->recovery && content_->recovery->Complete();
}

Result<std::vector<SecretBytes>> SecureServer::Reconstruct() {
  Content& content = *content_;
  if (!CanReconstruct())
    return Refused(ErrorCode::kFailedPrecondition, "too few openings to reconstruct the seeds");
  std::vector<SecretBytes> keys;
  for (std::size_t source = 0; source < content.said.size(); ++source) {
    const Member& member = content.said[source].member;
    const SeedRecovery::Found found =
        content.recovery->Recover(source, [&](const SecretBytes& seed) {
          return SeedCommitment(seed, member.identity) == member.seed_commitment;
        });
    if (!found.consistent) {
      content.Note({.kind = SecureFinding::Kind::kBadShares, .client = content.members[source]});
    }
    if (!found.seed) {
      return Refused(ErrorCode::kDataLoss,
                     "the shares of " + member.identity + " do not give the seed it committed to");
    }
    keys.push_back(SelfMaskKey(*found.seed, content.digest, member.identity));
  }
  return keys;
}

// ---- The server

SecureServer::SecureServer(Options options)
    : content_(std::make_unique<Content>(std::move(options))) {}
SecureServer::SecureServer(SecureServer&&) noexcept = default;
SecureServer& SecureServer::operator=(SecureServer&&) noexcept = default;
SecureServer::~SecureServer() = default;

SecureServer::Phase SecureServer::phase() const { return content_->phase; }
const std::vector<ClientId>& SecureServer::members() const { return content_->members; }
const std::vector<SecureFinding>& SecureServer::findings() const { return content_->findings; }
Digest SecureServer::session() const { return content_->digest; }

std::vector<ClientId> SecureServer::missing() const {
  std::string Said::*const expected[] = {&Said::advertised, &Said::shared, &Said::receipted,
                                         &Said::opened};
  std::vector<ClientId> missing;
  for (std::size_t i = 0; i < content_->said.size(); ++i) {
    const std::string& message =
        content_->said[i].*expected[static_cast<std::size_t>(content_->phase)];
    if (message.empty()) missing.push_back(content_->members[i]);
  }
  return missing;
}

std::string SecureFinding::ToString() const {
  switch (kind) {
    case Kind::kBadShares:
      return client.value() + " signed shares that do not give the seed it committed to";
    case Kind::kBadHolder:
      return client.value() + " opened a share that is not the one signed for it";
    case Kind::kDispute:
      return client.value() + " cannot open the share of " + other.value() +
             ", or says so: one of the two is at fault";
  }
  return {};
}

}  // namespace fedmeta
