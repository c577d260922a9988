#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "fedmeta/core/result.h"

namespace fedmeta {

struct HostPort {
  std::string host;  ///< without the brackets of an IPv6 address
  std::uint16_t port = 0;

  std::string ToString() const;
};
/// "host:port" or "[::1]:port".
Result<HostPort> ParseHostPort(std::string_view text);

}  // namespace fedmeta
