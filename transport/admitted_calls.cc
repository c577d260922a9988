#include "fedmeta/transport/admitted_calls.h"

#include <algorithm>
#include <utility>

#include "fedmeta/core/clock.h"
#include "fedmeta/identity/authority.h"

namespace fedmeta {

void AdmittedCalls::Add(std::weak_ptr<EndableCall> call, std::string certificates_pem) {
  const std::lock_guard lock(mutex_);
  running_.push_back({std::move(call), std::move(certificates_pem)});
  if (running_.size() < clean_at_) return;
  std::erase_if(running_, [](const Running& running) { return running.call.expired(); });
  clean_at_ = std::max<std::size_t>(64, 2 * running_.size());
}

AdmittedCalls::Ended AdmittedCalls::EndUnwelcome(const IdentitySource& identity,
                                                 const std::function<Error(const Error&)>& words) {
  std::vector<Running> running;
  {
    const std::lock_guard lock(mutex_);
    running = running_;
  }
  Ended ended;
  for (const Running& one : running) {
    const auto call = one.call.lock();
    if (!call) continue;
    const Status status = identity.CheckPeer(one.certificates_pem);
    if (status.ok()) continue;
    call->End(words(status.error()));
    ++ended.calls;
    if (status.error().code() == ErrorCode::kUnavailable) continue;
    const auto peer = DescribeCertificatePem(one.certificates_pem, SystemClock());
    if (peer.ok()) ended.peers.emplace(peer.value().identity, status.error().message());
  }
  return ended;
}

}  // namespace fedmeta
