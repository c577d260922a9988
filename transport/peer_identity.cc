#include "fedmeta/transport/peer_identity.h"

#include <grpc/grpc_security_constants.h>

namespace fedmeta {

Result<IdentityUri> PeerIdentity(const grpc::AuthContext* context) {
  if (context == nullptr || !context->IsPeerAuthenticated()) {
    return Error(ErrorCode::kUnauthenticated, "the peer showed no certificate");
  }
  const auto uris = context->FindPropertyValues(GRPC_PEER_URI_PROPERTY_NAME);
  if (uris.size() != 1) {
    return Error(ErrorCode::kUnauthenticated, "the peer's certificate has " +
                                                  std::to_string(uris.size()) +
                                                  " URI names, an identity is exactly one");
  }
  auto identity = IdentityUri::Parse(std::string_view(uris.front().data(), uris.front().size()));
  if (!identity.ok()) return Error(ErrorCode::kUnauthenticated, identity.error().message());
  return identity;
}

std::string PeerCertificates(const grpc::AuthContext* context) {
  std::string pem;
  if (context == nullptr) return pem;
  for (const char* property :
       {GRPC_X509_PEM_CERT_PROPERTY_NAME, GRPC_X509_PEM_CERT_CHAIN_PROPERTY_NAME}) {
    for (const grpc::string_ref& value : context->FindPropertyValues(property))
      pem.append(value.data(), value.size());
  }
  return pem;
}

}  // namespace fedmeta
