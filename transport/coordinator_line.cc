#include "fedmeta/transport/coordinator_line.h"

#include <utility>

#include "fedmeta/transport/grpc_channel.h"

namespace fedmeta {

CoordinatorLine::CoordinatorLine(std::shared_ptr<const DialTarget> target,
                                 std::shared_ptr<const IdentitySource> identity)
    : target_(std::move(target)), identity_(std::move(identity)) {}

std::shared_ptr<CoordinatorLine::Dialled> CoordinatorLine::Current() {
  const std::lock_guard lock(mutex_);
  auto credentials = identity_->credentials();
  // What it presented before is looked at again before anything more is sent to it.
  const bool holds =
      current_ && current_->with == credentials &&
      (current_->coordinator.empty() || identity_->CheckPeer(current_->coordinator).ok());
  if (holds) return current_;
  current_ = std::make_shared<Dialled>();
  current_->with = std::move(credentials);
  current_->channel = MakeChannel(*target_, identity_);
  current_->stub = v1::Coordinator::NewStub(current_->channel);
  return current_;
}

Status CoordinatorLine::CheckAnswer(Dialled& by, std::string certificates_pem) {
  if (const Status counts = identity_->CheckPeer(certificates_pem); !counts.ok()) {
    Drop(by);
    return Error(ErrorCode::kUnavailable, "the coordinator: " + counts.error().message());
  }
  const std::lock_guard lock(mutex_);
  by.coordinator = std::move(certificates_pem);
  return {};
}

void CoordinatorLine::Drop(const Dialled& by) {
  const std::lock_guard lock(mutex_);
  if (current_.get() == &by) current_.reset();
}

}  // namespace fedmeta
