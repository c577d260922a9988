#include "fedmeta/transport/connection_health.h"

#include <utility>

#include "fedmeta/transport/connection_probe.h"

namespace fedmeta {
namespace {

constexpr int kRefusalsToGiveUp = 2;

}  // namespace

ConnectionHealth::ConnectionHealth(std::shared_ptr<const DialTarget> target,
                                   std::shared_ptr<const IdentitySource> identity,
                                   std::function<void(bool reached)> changed, Logger& logger)
    : target_(std::move(target)),
      identity_(std::move(identity)),
      changed_(std::move(changed)),
      logger_(logger) {}

void ConnectionHealth::SetReached(bool reached) {
  if (reached == std::exchange(reached_, reached)) return;
  if (changed_) changed_(reached);
}

void ConnectionHealth::Answered() {
  const std::lock_guard lock(mutex_);
  answered_once_ = true;
  SetReached(true);
  refusals_ = 0;
  if (reason_.empty()) return;
  reason_.clear();
  const double seconds = Seconds(clock_.Now() - lost_since_);
  logger_.Log(LogLevel::kInfo, "coordinator_reached",
              {{"address", target_->address}, {"after", FormatDuration(seconds)}});
}

Status ConnectionHealth::Failed(const Error& error, const std::stop_token& stop) {
  const Status probe = ProbeConnection(*target_, *identity_, stop);
  const Error& cause = probe.ok() ? error : probe.error();
  if (cause.code() == ErrorCode::kCancelled && stop.stop_requested()) return {};
  const std::lock_guard lock(mutex_);
  SetReached(false);
  refusals_ = cause.code() == ErrorCode::kUnauthenticated ? refusals_ + 1 : 0;
  if (!answered_once_ && refusals_ >= kRefusalsToGiveUp) return cause;
  if (reason_.empty()) lost_since_ = clock_.Now();
  if (cause.message() != reason_) {
    reason_ = cause.message();
    logger_.Log(LogLevel::kWarning, "coordinator_not_reached",
                {{"address", target_->address},
                 {"reason", reason_},
                 {"next", "trying again, at most 30 s apart"}});
  }
  return {};
}

}  // namespace fedmeta
