#include "fedmeta/configs/text_checks.h"

#include <algorithm>
#include <charconv>

#include "fedmeta/configs/day_hours.h"

namespace fedmeta {
namespace {

std::string Got(std::string_view text) { return ", got '" + std::string(text) + "'"; }

bool IsNameCharacter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '_';
}

bool IsHost(std::string_view host) {
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
    return host.find_first_not_of("0123456789abcdefABCDEF:.") == std::string_view::npos;
  }
  return !host.empty() && std::all_of(host.begin(), host.end(),
                                      [](char c) { return IsNameCharacter(c) || c == '.'; });
}

bool IsAddress(std::string_view text, int least_port) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos || !IsHost(text.substr(0, colon))) return false;
  const std::string_view digits = text.substr(colon + 1);
  int port = 0;
  const auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  return parsed.ec == std::errc() && parsed.ptr == digits.data() + digits.size() &&
         digits[0] != '-' && port >= least_port && port <= 65535;
}

}  // namespace

std::optional<std::string> WhyNoName(std::string_view text) {
  constexpr std::size_t kLongest = 100;
  if (!text.empty() && text.size() <= kLongest &&
      std::all_of(text.begin(), text.end(), IsNameCharacter)) {
    return std::nullopt;
  }
  return "must be 1 to 100 letters, digits, '-' or '_'" + Got(text);
}

std::optional<std::string> WhyNoAddress(std::string_view text, int least_port) {
  if (IsAddress(text, least_port)) return std::nullopt;
  return "must be host:port with a port from " + std::to_string(least_port) +
         " to 65535, such as fed.example.org:8443" + Got(text);
}

std::optional<std::string> WhyNoProxy(std::string_view text) {
  constexpr std::string_view kScheme = "http://";
  if (text.starts_with(kScheme)) {
    std::string_view rest = text.substr(kScheme.size());
    const std::size_t at = rest.rfind('@');
    const std::string_view user = at == std::string_view::npos ? "" : rest.substr(0, at);
    // A password here would be printed with the file; it has a file of its own.
    if (user.find(':') != std::string_view::npos) {
      return "must not hold a password; put it into a file and name that in proxy_password_file";
    }
    if (at != std::string_view::npos) rest.remove_prefix(at + 1);
    if (IsAddress(rest, 1)) return std::nullopt;
  }
  return "must be http://host:port or http://user@host:port" + Got(text);
}

std::optional<std::string> WhyNoMember(std::string_view text) {
  if (text.starts_with("spiffe://") && text.find_first_of(" \t") == std::string_view::npos &&
      text.substr(0, text.size() - 1).find('*') == std::string_view::npos) {
    return std::nullopt;
  }
  return "must be an identity such as spiffe://heart/client/*, where * may stand at the end only" +
         Got(text);
}

std::optional<std::string> WhyNoParty(std::string_view text) {
  constexpr std::size_t kLongest = 128;
  if (!text.empty() && text.size() <= kLongest && std::all_of(text.begin(), text.end(), [](char c) {
        return IsNameCharacter(c) || c == '.';
      })) {
    return std::nullopt;
  }
  return "must be the name in a client's identity, such as site-1" + Got(text);
}

std::optional<std::string> WhyNoHours(std::string_view text) {
  if (ParseDayHours(text)) return std::nullopt;
  return "must be a time of day such as 20:00-06:00" + Got(text);
}

std::optional<std::string> WhyNoHash(std::string_view text) {
  constexpr std::size_t kDigits = 64;
  if (text.size() == kDigits &&
      text.find_first_not_of("0123456789abcdef") == std::string_view::npos) {
    return std::nullopt;
  }
  return "must be 64 hexadecimal digits, as `fedmeta site pending` shows them" + Got(text);
}

}  // namespace fedmeta
