#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "fedmeta/core/result.h"
#include "fedmeta/privacy/opening_latch.h"
#include "fedmeta/privacy/party.h"
#include "fedmeta/privacy/ring_vector.h"
#include "fedmeta/privacy/threshold.h"

namespace fedmeta {

/// What a site demands of the members of a session, whatever the coordinator says.
struct MemberPolicy {
  /// Organisations in a session, this site's included; at least kSmallestSession.
  std::uint32_t minimum_members = kSmallestSession;
  /// Identities or patterns ("spiffe://heart/client/*") that may be members. Pinned: nobody else.
  std::vector<std::string> members;
};

/// One client's side of secure aggregation (docs/security.md): sessions of a fixed cohort, one at a
/// time. Sans-I/O: a request's bytes in, the reply's bytes out, four phases in order:
///
///   Advertise -> Share(roster) -> Mask(delivery, vector) -> Open(request)
///
/// Each phase of a session is answered once: the identical request again gets the identical reply,
/// a different one ends the session. So does everything else that is not exactly right: any error
/// of Share, Mask or Open erases the session's keys, and nothing but a new Advertise helps. A new
/// Advertise erases the session before, whose shares are then never released. What is opened stays
/// answerable (the cached reply) until the next Advertise, so that a lost reply can be re-sent.
///
/// Lives as long as the process takes part; keys live in memory only, so a restarted client does
/// not resume a session. Not thread-safe. No reply, error or reason depends on the vector's
/// content.
class SecureClient {
 public:
  struct Options {
    std::string federation;
    MemberPolicy policy;
    SignerSource signer;
    const PeerVerifier* verifier = nullptr;  ///< outlives the client
    OpeningLatch* latch = nullptr;  ///< of the data that is trained on; outlives the client
  };
  /// kInvalidArgument: a minimum below kSmallestSession or above kLargestSession, no members.
  static Result<SecureClient> Create(Options options);
  SecureClient(SecureClient&&) noexcept;
  SecureClient& operator=(SecureClient&&) noexcept;
  ~SecureClient();

  /// What the session is about, from the accepted plan.
  struct Start {
    RoundKey key;  ///< (round, attempt, session) newer than any seen of (experiment, purpose)
    std::uint32_t group = 0;
    Digest plan_hash;
    Digest model_hash;  ///< as SessionFacts::model_hash
    RingBits bits = RingBits::k32;
    std::uint64_t words = 0;  ///< of the vector, > 0
  };
  /// R0. Errors: an old key (kFailedPrecondition; the identical Start again gets the same bytes),
  /// those of the latch.
  Result<std::string> Advertise(const Start& start);

  /// R1: a v1::SessionRoster. Refused: a signature, certificate or identity that does not hold, a
  /// revoked or unpinned member, two members of one organisation, repeated identities or keys, an
  /// own entry that is not exactly the one advertised, fewer members than the policy's minimum,
  /// another plan, model or vector size; what the latch refuses of these members. Returns
  /// v1::Shares.
  Result<std::string> Share(std::string_view roster);

  struct Masked {
    std::string receipt;                ///< v1::SignedMessage of a ReceiptBody
    std::span<const std::byte> vector;  ///< to upload; valid until Advertise or End
    Digest vector_hash = {};            ///< of these bytes, as the receipt has it
  };
  /// R2: a v1::ShareDelivery. `vector` is masked in place, so that no unmasked copy stays. Calls
  /// OpeningLatch::RecordMasked before it returns. kDataLoss: a member's share cannot be opened or
  /// is not the one it signed; complaint() then says whose.
  Result<Masked> Mask(std::string_view delivery, RingVector vector);

  /// R3: a v1::OpeningRequest with valid receipts of all members. Calls OpeningLatch::RecordOpened
  /// before it returns. Returns v1::SignedMessage of an OpeningBody.
  Result<std::string> Open(std::string_view request);

  /// v1::SignedMessage of a ComplaintBody, to be sent instead of a receipt; until the next
  /// Advertise.
  const std::optional<std::string>& complaint() const;
  /// Of the session since Share, for records and reports; zeros and 0 before.
  Digest session() const;
  std::size_t members() const;
  /// Erases the session.
  void End();

 private:
  struct Content;
  explicit SecureClient(std::unique_ptr<Content> content);
  std::unique_ptr<Content> content_;
};

}  // namespace fedmeta
