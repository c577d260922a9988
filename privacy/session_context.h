#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "fedmeta/core/digest.h"
#include "fedmeta/core/result.h"
#include "fedmeta/privacy/party.h"
#include "fedmeta/protocol/round_key.h"
#include "fedmeta/v1/secure.pb.h"

// For this room only: what the messages of a session are signed and hashed with.
namespace fedmeta {

/// Fields one after the other, each with its length before it, so that no two lists of fields give
/// the same text.
class FieldText {
 public:
  FieldText& Add(std::string_view field);
  FieldText& Add(std::uint64_t number);
  FieldText& Add(const Digest& digest) { return Add(digest.bytes()); }
  const std::string& text() const { return text_; }
  Digest Hash() const { return Digest::Of(text_); }

 private:
  std::string text_;
};

/// Where a message belongs: part of everything that is signed.
struct SessionContext {
  std::string federation;
  RoundKey key;
  std::uint32_t group = 0;

  void AddTo(FieldText& fields) const;
};

/// SHA-256 over context and advertisements (their bodies as received), sorted by identity.
Digest SessionDigest(const SessionContext& context, std::span<const std::string_view> bodies);

enum class SessionMessage : std::uint8_t {
  kAdvertisement,
  kShareHashes,
  kReceipt,
  kComplaint,
  kOpening
};

/// A message's place: an advertisement is of no session yet.
struct Placed {
  const SessionContext& context;
  SessionMessage message;
  const Digest* session = nullptr;
};
Result<v1::SignedMessage> SignBody(const Signer& signer, const Placed& place, std::string body);
bool VerifyBody(const Peer& sender, const Placed& place, const v1::SignedMessage& message);

/// A message off the wire; kInvalidArgument if it does not parse or is too long.
template <typename Message>
Result<Message> ParseMessage(std::string_view bytes, const char* what);
extern template Result<v1::Advertisement> ParseMessage(std::string_view, const char*);
extern template Result<v1::AdvertisementBody> ParseMessage(std::string_view, const char*);
extern template Result<v1::SessionRoster> ParseMessage(std::string_view, const char*);
extern template Result<v1::Shares> ParseMessage(std::string_view, const char*);
extern template Result<v1::ShareHashesBody> ParseMessage(std::string_view, const char*);
extern template Result<v1::ShareDelivery> ParseMessage(std::string_view, const char*);
extern template Result<v1::SignedMessage> ParseMessage(std::string_view, const char*);
extern template Result<v1::ReceiptBody> ParseMessage(std::string_view, const char*);
extern template Result<v1::ComplaintBody> ParseMessage(std::string_view, const char*);
extern template Result<v1::OpeningRequest> ParseMessage(std::string_view, const char*);
extern template Result<v1::OpeningBody> ParseMessage(std::string_view, const char*);
extern template Result<v1::SessionSnapshot> ParseMessage(std::string_view, const char*);

}  // namespace fedmeta
