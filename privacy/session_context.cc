#include "fedmeta/privacy/session_context.h"

#include <cstring>
#include <utility>

#include "fedmeta/protocol/limits.h"

namespace fedmeta {
namespace {

std::string_view DomainOf(SessionMessage message) {
  switch (message) {
    case SessionMessage::kAdvertisement:
      return "fedmeta secure aggregation 1 advertisement";
    case SessionMessage::kShareHashes:
      return "fedmeta secure aggregation 1 share hashes";
    case SessionMessage::kReceipt:
      return "fedmeta secure aggregation 1 receipt";
    case SessionMessage::kComplaint:
      return "fedmeta secure aggregation 1 complaint";
    case SessionMessage::kOpening:
      return "fedmeta secure aggregation 1 opening";
  }
  return {};
}

std::string Statement(const Placed& place, const IdentityUri& sender, std::string_view body) {
  FieldText fields;
  place.context.AddTo(fields);
  if (place.session != nullptr) fields.Add(*place.session);
  return fields.Add(sender.ToString()).Add(body).text();
}

}  // namespace

FieldText& FieldText::Add(std::string_view field) {
  Add(field.size());
  text_.append(field);
  return *this;
}

FieldText& FieldText::Add(std::uint64_t number) {
  char raw[sizeof(number)];
  std::memcpy(raw, &number, sizeof(number));
  text_.append(raw, sizeof(raw));
  return *this;
}

void SessionContext::AddTo(FieldText& fields) const {
  fields.Add(federation).Add(key.experiment.value()).Add(static_cast<std::uint64_t>(key.purpose));
  fields.Add(key.round).Add(key.attempt).Add(key.session).Add(group);
}

Digest SessionDigest(const SessionContext& context, std::span<const std::string_view> bodies) {
  FieldText fields;
  fields.Add("fedmeta secure aggregation 1 session");
  context.AddTo(fields);
  for (const std::string_view body : bodies) fields.Add(body);
  return fields.Hash();
}

Result<v1::SignedMessage> SignBody(const Signer& signer, const Placed& place, std::string body) {
  v1::SignedMessage message;
  FEDMETA_ASSIGN_OR_RETURN(
      *message.mutable_signature(),
      signer.Sign(DomainOf(place.message), Statement(place, signer.identity(), body)));
  message.set_body(std::move(body));
  return message;
}

bool VerifyBody(const Peer& sender, const Placed& place, const v1::SignedMessage& message) {
  return message.signature().size() <= kMaximumSignatureBytes &&
         sender.Verifies(DomainOf(place.message),
                         Statement(place, sender.identity(), message.body()), message.signature());
}

template <typename Message>
Result<Message> ParseMessage(std::string_view bytes, const char* what) {
  Message message;
  if (bytes.size() > kMaximumMessageBytes ||
      !message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    return Error(ErrorCode::kInvalidArgument, std::string(what) + " of " +
                                                  std::to_string(bytes.size()) +
                                                  " bytes is no such message, or longer than " +
                                                  std::to_string(kMaximumMessageBytes));
  }
  return message;
}
template Result<v1::Advertisement> ParseMessage(std::string_view, const char*);
template Result<v1::AdvertisementBody> ParseMessage(std::string_view, const char*);
template Result<v1::SessionRoster> ParseMessage(std::string_view, const char*);
template Result<v1::Shares> ParseMessage(std::string_view, const char*);
template Result<v1::ShareHashesBody> ParseMessage(std::string_view, const char*);
template Result<v1::ShareDelivery> ParseMessage(std::string_view, const char*);
template Result<v1::SignedMessage> ParseMessage(std::string_view, const char*);
template Result<v1::ReceiptBody> ParseMessage(std::string_view, const char*);
template Result<v1::ComplaintBody> ParseMessage(std::string_view, const char*);
template Result<v1::OpeningRequest> ParseMessage(std::string_view, const char*);
template Result<v1::OpeningBody> ParseMessage(std::string_view, const char*);
template Result<v1::SessionSnapshot> ParseMessage(std::string_view, const char*);

}  // namespace fedmeta
