#include "fedmeta/core/host_port.h"

#include <charconv>

namespace fedmeta {

std::string HostPort::ToString() const {
  const bool ipv6 = host.find(':') != std::string::npos;
  return (ipv6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

Result<HostPort> ParseHostPort(std::string_view text) {
  const auto refuse = [&](const char* why) {
    return Error(ErrorCode::kInvalidArgument, "'" + std::string(text) + "' " + why +
                                                  "; write host:port, an IPv6 address in brackets");
  };
  const std::size_t colon = text.rfind(':');
  if (colon == text.npos) return refuse("has no port");
  std::string_view host = text.substr(0, colon);
  const std::string_view digits = text.substr(colon + 1);
  HostPort parsed;
  const auto [end, error] =
      std::from_chars(digits.data(), digits.data() + digits.size(), parsed.port);
  if (error != std::errc() || end != digits.data() + digits.size())
    return refuse("has no port between 0 and 65535");
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
  } else if (host.find(':') != host.npos) {
    return refuse("has several colons");
  }
  if (host.empty() || host.find_first_of("/@ []") != host.npos) return refuse("has no host name");
  parsed.host = host;
  return parsed;
}

}  // namespace fedmeta
