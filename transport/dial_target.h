#pragma once

#include <optional>
#include <string>

#include "fedmeta/core/host_port.h"
#include "fedmeta/core/result.h"
#include "fedmeta/core/secret_bytes.h"
#include "fedmeta/v1/client.pb.h"

namespace fedmeta {

/// Whom to dial, and how to get there: a checked v1::CoordinatorAddress.
struct DialTarget {
  struct Proxy {
    HostPort at;
    std::string user;
    SecretBytes password;
  };
  std::string address;      ///< host:port
  std::string server_name;  ///< that the certificate must carry
  std::optional<Proxy> proxy;
  int keepalive_ms = 30'000;
};
/// Value of the header Proxy-Authorization; empty without a user. A secret.
std::string ProxyAuthorization(const DialTarget::Proxy& proxy);

/// Reads the proxy's password. Errors name the key of the client file.
Result<DialTarget> ParseDialTarget(const v1::CoordinatorAddress& address);

}  // namespace fedmeta
