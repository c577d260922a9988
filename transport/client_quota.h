#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>

#include "fedmeta/core/clock.h"
#include "fedmeta/core/ids.h"
#include "fedmeta/core/result.h"
#include "fedmeta/transport/coordinator_endpoint.h"

namespace fedmeta {

/// What one identity may ask for, over all its connections. Remembers every client that ever
/// called: as many as have certificates. Thread-safe.
class ClientQuota {
 public:
  explicit ClientQuota(const TransportLimits& limits) : limits_(limits) {}

  /// A call: kResourceExhausted beyond calls_per_second, after a burst of two seconds' worth.
  Status TakeCall(const ClientId& client, TimePoint now);
  /// One upload or download for as long as the returned value lives. kResourceExhausted beyond
  /// streams_per_client.
  using Lease = std::shared_ptr<void>;
  Result<Lease> TakeStream(const ClientId& client);

 private:
  struct Account {
    double calls = 0;  // that may be made now
    TimePoint filled{};
    std::shared_ptr<char> streams = std::make_shared<char>();  // its owners, less this, are open
  };

  const TransportLimits limits_;
  std::mutex mutex_;
  std::map<ClientId, Account> accounts_;
};

}  // namespace fedmeta
