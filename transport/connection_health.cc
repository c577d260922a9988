#include "fedmeta/transport/connection_health.h"

#include "fedmeta/transport/connection_probe.h"

namespace fedmeta {
namespace {

constexpr int kRefusalsToGiveUp = 2;

Credentials Copy(const Credentials& from) {
  return {.certificate_pem = from.certificate_pem,
          .key_pem = SecretBytes(from.key_pem.Expose()),
          .trust_pem = from.trust_pem,
          .identity = from.identity,
          .days_left = from.days_left};
}

}  // namespace

ConnectionHealth::ConnectionHealth(DialTarget target, const Credentials& credentials,
                                   Logger& logger)
    : target_(std::move(target)), credentials_(Copy(credentials)), logger_(logger) {}

void ConnectionHealth::Answered() {
  const std::lock_guard lock(mutex_);
  answered_once_ = true;
  refusals_ = 0;
  if (reason_.empty()) return;
  reason_.clear();
  const double seconds = std::chrono::duration<double>(clock_.Now() - lost_since_).count();
  logger_.Log(LogLevel::kInfo, "coordinator_reached",
              {{"address", target_.address}, {"after", FormatDuration(seconds)}});
}

Status ConnectionHealth::Failed(const Error& error, const std::stop_token& stop) {
  const Status probe = ProbeConnection(target_, credentials_, stop);
  const Error& cause = probe.ok() ? error : probe.error();
  if (cause.code() == ErrorCode::kCancelled && stop.stop_requested()) return {};
  const std::lock_guard lock(mutex_);
  refusals_ = cause.code() == ErrorCode::kUnauthenticated ? refusals_ + 1 : 0;
  if (!answered_once_ && refusals_ >= kRefusalsToGiveUp) return cause;
  if (reason_.empty()) lost_since_ = clock_.Now();
  if (cause.message() != reason_) {
    reason_ = cause.message();
    logger_.Log(LogLevel::kWarning, "coordinator_not_reached",
                {{"address", target_.address},
                 {"reason", reason_},
                 {"next", "trying again, at most 30 s apart"}});
  }
  return {};
}

}  // namespace fedmeta
