#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace fedmeta {

// Text that must have a form. Each returns why it has not, to stand behind the field's path.

/// Names of experiments and of data: letters, digits, '-', '_', at most 100, since folders and
/// messages carry them.
std::optional<std::string> WhyNoName(std::string_view text);
/// host:port, an IPv6 host in brackets; `least_port` is 0 where the system may choose one.
std::optional<std::string> WhyNoAddress(std::string_view text, int least_port);
/// http://[user@]host:port
std::optional<std::string> WhyNoProxy(std::string_view text);
/// spiffe://federation/client/name, where * may end the pattern.
std::optional<std::string> WhyNoMember(std::string_view text);
/// The name in an identity: as WhyNoName, with '.'.
std::optional<std::string> WhyNoParty(std::string_view text);
/// 20:00-06:00
std::optional<std::string> WhyNoHours(std::string_view text);
/// A SHA-256 in hexadecimal.
std::optional<std::string> WhyNoHash(std::string_view text);

}  // namespace fedmeta
