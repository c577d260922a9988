#include "fedmeta/transport/client_quota.h"

#include <algorithm>
#include <string>

namespace fedmeta {
namespace {

constexpr double kBurstSeconds = 2;

}  // namespace

Status ClientQuota::TakeCall(const ClientId& client, TimePoint now) {
  const std::lock_guard lock(mutex_);
  const double rate = limits_.calls_per_second;
  const auto [found, first] = accounts_.try_emplace(client);
  Account& account = found->second;
  const double since = Seconds(now - account.filled);
  account.calls =
      first ? kBurstSeconds * rate : std::min(kBurstSeconds * rate, account.calls + rate * since);
  account.filled = now;
  if (account.calls < 1) {
    return Error(ErrorCode::kResourceExhausted,
                 "limits.calls_per_second: " + client.value() + " makes more than " +
                     std::to_string(limits_.calls_per_second) + " calls a second; try again later");
  }
  account.calls -= 1;
  return {};
}

Result<ClientQuota::Lease> ClientQuota::TakeStream(const ClientId& client) {
  const std::lock_guard lock(mutex_);
  const std::shared_ptr<char>& streams = accounts_[client].streams;
  const auto open = static_cast<std::uint32_t>(streams.use_count()) - 1;
  if (open < limits_.streams_per_client) return Lease(streams);
  return Error(ErrorCode::kResourceExhausted,
               client.value() + " has " + std::to_string(open) +
                   " uploads and downloads open already; try again later");
}

}  // namespace fedmeta
