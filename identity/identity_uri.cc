#include "fedmeta/identity/identity_uri.h"

#include <array>

namespace fedmeta {
namespace {

constexpr std::string_view kScheme = "spiffe://";
constexpr std::array<std::string_view, 4> kRoles = {"coordinator", "client", "researcher",
                                                    "auditor"};
constexpr std::size_t kMaximumPart = 128;

bool IsLetterOrDigit(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

// Names become file names, so a leading dot (".", "..") is out too.
bool IsPart(std::string_view part) {
  if (part.empty() || part.size() > kMaximumPart || part.front() == '.') return false;
  for (const char c : part) {
    if (!IsLetterOrDigit(c) && c != '-' && c != '_' && c != '.') return false;
  }
  return true;
}

// What a peer sent must not write its own lines into a log.
std::string Printable(std::string_view text) {
  constexpr std::size_t kShown = 200;
  std::string shown;
  for (const char c : text.substr(0, kShown)) shown += c >= 0x20 && c < 0x7f ? c : '?';
  if (text.size() > kShown) shown += "...";
  return shown;
}

}  // namespace

std::string_view RoleName(IdentityRole role) { return kRoles[static_cast<std::size_t>(role)]; }

Result<IdentityRole> RoleFromName(std::string_view name) {
  for (std::size_t i = 0; i < kRoles.size(); ++i) {
    if (kRoles[i] == name) return static_cast<IdentityRole>(i);
  }
  return Error(
      ErrorCode::kInvalidArgument,
      "role '" + Printable(name) + "' is none of coordinator, client, researcher, auditor");
}

Result<IdentityUri> IdentityUri::Parse(std::string_view uri) {
  const auto refuse = [&](const std::string& why) {
    return Error(ErrorCode::kInvalidArgument,
                 "identity '" + Printable(uri) + "' " + why +
                     "; an identity is "
                     "spiffe://<federation>/{coordinator,client,researcher,auditor}/<name>");
  };
  if (!uri.starts_with(kScheme)) return refuse("does not start with spiffe://");
  const std::string_view path = uri.substr(kScheme.size());
  const std::size_t first = path.find('/');
  const std::size_t second = first == path.npos ? path.npos : path.find('/', first + 1);
  if (second == path.npos) return refuse("lacks a role or a name");
  IdentityUri identity{.federation = std::string(path.substr(0, first)),
                       .name = std::string(path.substr(second + 1))};
  const auto role = RoleFromName(path.substr(first + 1, second - first - 1));
  if (!role.ok()) return refuse("has an unknown role");
  identity.role = role.value();
  if (!IsPart(identity.federation)) {
    return refuse(
        "has a federation that is not 1 to 128 letters, digits, '-', '_' or '.' (first not '.')");
  }
  if (!IsPart(identity.name))
    return refuse(
        "has a name that is not 1 to 128 letters, digits, '-', '_' or '.' (first not '.')");
  return identity;
}

std::string IdentityUri::ToString() const {
  return std::string(kScheme) + federation + "/" + std::string(RoleName(role)) + "/" + name;
}

bool MemberMatches(std::string_view pattern, const IdentityUri& identity) {
  const std::string whole = identity.ToString();
  if (pattern == whole) return true;
  if (!pattern.ends_with('*')) return false;
  // The star stands for (the rest of) a name, never for a federation or a role.
  const std::string_view prefix = pattern.substr(0, pattern.size() - 1);
  const std::size_t name_starts = whole.size() - identity.name.size();
  return prefix.size() >= name_starts && whole.starts_with(prefix);
}

}  // namespace fedmeta
