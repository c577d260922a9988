#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "fedmeta/core/result.h"

namespace fedmeta {

enum class IdentityRole : std::uint8_t { kCoordinator, kClient, kResearcher, kAuditor };

/// spiffe://<federation>/{coordinator,client,researcher,auditor}/<name>: the only source of
/// identity, from the certificate's URI SAN, never from a message. Federation and name: letters,
/// digits, '-', '_', '.', at most 128 characters each.
struct IdentityUri {
  std::string federation;
  IdentityRole role = IdentityRole::kClient;
  std::string name;
  auto operator<=>(const IdentityUri&) const = default;

  static Result<IdentityUri> Parse(std::string_view uri);
  std::string ToString() const;
};

std::string_view RoleName(IdentityRole role);
Result<IdentityRole> RoleFromName(std::string_view name);

/// Whether a member pattern ("spiffe://heart/client/*" or a whole identity) covers an identity.
bool MemberMatches(std::string_view pattern, const IdentityUri& identity);

}  // namespace fedmeta
