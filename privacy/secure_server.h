#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "fedmeta/core/digest.h"
#include "fedmeta/core/ids.h"
#include "fedmeta/core/result.h"
#include "fedmeta/core/secret_bytes.h"
#include "fedmeta/privacy/party.h"
#include "fedmeta/privacy/ring_vector.h"
#include "fedmeta/protocol/round_key.h"

namespace fedmeta {

/// A member that did not do as the protocol says, or a pair of whom one did not.
struct SecureFinding {
  enum class Kind : std::uint8_t {
    kBadShares,  ///< the client signed shares that do not give its seed
    kBadHolder,  ///< the client opened a share that is not the one signed for it
    kDispute,    ///< the client says that `other`'s share cannot be opened: one of the two lies
  };
  Kind kind;
  ClientId client;
  ClientId other = {};  ///< of a dispute
  std::string ToString() const;
};

/// The coordinator's side of one session: collects what members say, relays it, and reconstructs
/// the seeds of the self masks. Sans-I/O and without vectors: those go into a MaskedSum. Not
/// thread-safe; one session an object.
///
///   AddAdvertisement* -> Roster -> AddShares* -> Delivery(client) -> AddReceipt* (and vectors)
///   -> OpeningRequest -> AddOpening* -> Reconstruct
///
/// The members are those who had advertised when Roster was called, and stay: a client that is lost
/// before every receipt is there costs a new session, a new object. Add... return
/// kInvalidArgument or kPermissionDenied for what cannot be accepted (drop that client),
/// kFailedPrecondition for what comes too late or from no member, kAlreadyExists for a second,
/// different message; an identical one again succeeds.
class SecureServer {
 public:
  enum class Phase : std::uint8_t { kAdvertise, kShare, kMask, kOpen };
  struct Options {
    std::string federation;
    RoundKey key;
    std::uint32_t group = 0;
    Digest plan_hash, model_hash;  ///< as SessionFacts; an advertisement of others is refused
    RingBits bits = RingBits::k32;
    std::uint64_t words = 0;
    const PeerVerifier* verifier = nullptr;  ///< outlives the server
  };
  explicit SecureServer(Options options);
  SecureServer(SecureServer&&) noexcept;
  SecureServer& operator=(SecureServer&&) noexcept;
  ~SecureServer();

  Phase phase() const;
  /// Sorted; who has advertised, until Roster fixes them.
  const std::vector<ClientId>& members() const;
  /// Members whose message of this phase is not there.
  std::vector<ClientId> missing() const;
  const std::vector<SecureFinding>& findings() const;

  Status AddAdvertisement(const ClientId& client, std::string_view message);
  /// Fixes the members; v1::SessionRoster, the same for all. kFailedPrecondition: fewer than
  /// kSmallestSession. More than kLargestSession are not admitted.
  Result<std::string> Roster();
  /// Of the session; zeros before Roster.
  Digest session() const;

  Status AddShares(const ClientId& client, std::string_view message);
  /// v1::ShareDelivery for one member; kFailedPrecondition while shares are missing.
  Result<std::string> Delivery(const ClientId& client) const;

  /// `vector_hash`: of the upload as staged; the receipt must name it.
  Status AddReceipt(const ClientId& client, std::string_view message, const Digest& vector_hash);
  /// A member's complaint instead of a receipt: a dispute in findings(). The session cannot go on.
  Status AddComplaint(const ClientId& client, std::string_view message);
  /// v1::OpeningRequest, the same for all; kFailedPrecondition while receipts are missing. Once it
  /// was given, a receipt cannot be taken back: store Snapshot and the masked sum before it is
  /// sent.
  Result<std::string> OpeningRequest();
  /// v1::SessionSnapshot, from the first OpeningRequest on.
  Result<std::string> Snapshot() const;
  /// In the phase kOpen, as of Snapshot. Everything is verified again.
  static Result<SecureServer> Restore(Options options, std::string_view snapshot);

  /// A share that is not the signed one is left out and its holder named in findings().
  Status AddOpening(const ClientId& client, std::string_view message);
  /// Enough openings for every member's seed; more make it robust against bad ones.
  bool CanReconstruct() const;
  /// The keys of the members' self masks, to be subtracted from the sum (MaskedSum::Unmask). A
  /// member whose shares do not give the seed it committed to is named in findings(); kDataLoss if
  /// no other shares help.
  Result<std::vector<SecretBytes>> Reconstruct();

 private:
  struct Content;
  explicit SecureServer(std::unique_ptr<Content> content);
  std::unique_ptr<Content> content_;
};

}  // namespace fedmeta
