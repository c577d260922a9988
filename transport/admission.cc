#include "fedmeta/transport/admission.h"

#include <algorithm>

#include "fedmeta/identity/identity_uri.h"
#include "fedmeta/transport/peer_identity.h"

namespace fedmeta {

Error ForPeer(const Error& error) {
  if (error.code() != ErrorCode::kUnavailable) return error;
  return {
      ErrorCode::kUnavailable,
      "the coordinator serves nobody: its list of revoked certificates is stale or missing, and "
      "its operator has to bring a new one"};
}

Result<ClientId> Admission::Check(const grpc::CallbackServerContext& context) {
  auto client = Decide(context);
  if (client.ok()) return client;
  const ErrorCode code = client.error().code();
  if (hears_.refused) hears_.refused(code);
  if (hears_.turned_away &&
      (code == ErrorCode::kPermissionDenied || code == ErrorCode::kUnauthenticated)) {
    hears_.turned_away(client.error().message());
  }
  LogOnce(client.error(), context.peer());
  return ForPeer(client.error());
}

Result<ClientId> Admission::Decide(const grpc::CallbackServerContext& context) const {
  FEDMETA_ASSIGN_OR_RETURN(const IdentityUri peer, PeerIdentity(context.auth_context().get()));
  if (const Status counts = identity_->CheckPeer(PeerCertificates(context.auth_context().get()));
      !counts.ok()) {
    return counts.error().WithContext(peer.ToString());
  }
  const auto refuse = [&](const std::string& why) {
    return Error(ErrorCode::kPermissionDenied, peer.ToString() + " " + why);
  };
  if (peer.role != IdentityRole::kClient) return refuse("is not a client");
  if (peer.federation != federation_) return refuse("is not of federation '" + federation_ + "'");
  if (std::none_of(members_.begin(), members_.end(),
                   [&](const std::string& member) { return MemberMatches(member, peer); })) {
    return refuse("is not a member of this federation: add it to the coordinator's `members`");
  }
  return ClientId(peer.name);
}

void Admission::LogOnce(const Error& error, const std::string& peer) {
  constexpr std::size_t kRemembered =
      1024;  // a refused peer that calls on must not fill a disk, nor this set the memory
  {
    const std::lock_guard lock(mutex_);
    if (logged_.size() >= kRemembered) logged_.clear();
    if (!logged_.insert(error.message()).second) return;
  }
  logger_.Log(LogLevel::kWarning, "peer_refused",
              {{"peer", peer},
               {"code", std::string(ErrorCodeName(error.code()))},
               {"reason", error.message()}});
}

}  // namespace fedmeta
