#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include <google/protobuf/message.h>

#include "fedmeta/core/ids.h"
#include "fedmeta/transport/coordinator_endpoint.h"
#include "fedmeta/transport/coordinator_link.h"

namespace fedmeta {

/// What a client sent and received over a DirectLink. Thread-safe.
class LinkAccount {
 public:
  /// A kind of field that went out, over all messages.
  struct Field {
    std::uint64_t times = 0;
    std::uint64_t bytes = 0;  ///< in all, as protobuf writes its value
  };
  struct Payload {
    v1::RoundKey key;
    std::uint64_t bytes = 0;
  };
  struct Totals {
    std::map<std::string, Field> fields;  ///< "ClientHello.version.major"
    std::vector<Payload> uploads;
    std::uint64_t up = 0, down = 0;  ///< bytes of messages and blobs, without framing
  };

  void Sent(const google::protobuf::Message& message);
  void Received(std::uint64_t bytes);
  void Uploaded(const v1::RoundKey& key, std::uint64_t bytes);
  Totals totals() const;

 private:
  void AddFields(const google::protobuf::Message& message, const std::string& path);

  mutable std::mutex mutex_;
  Totals totals_;
};

/// A client's way to a coordinator in the same process, by function calls: no network, the same
/// messages. Everything that goes through is written to the account. Both are borrowed.
std::unique_ptr<CoordinatorLink> MakeDirectLink(CoordinatorEndpoint& coordinator, ClientId client,
                                                LinkAccount& account);

}  // namespace fedmeta
