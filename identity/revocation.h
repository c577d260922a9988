#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "fedmeta/core/clock.h"
#include "fedmeta/core/result.h"

namespace fedmeta {

/// The authority's side of revocation. Files in its folder: revoked.txt (one line a certificate:
/// serial, when, identity), and denylist.pem, the signed list that parties are given: an X.509
/// certificate revocation list, valid for a time. After that time it counts as missing, so that
/// nobody can hold back a newer one for long.
struct RevokeOptions {
  std::filesystem::path authority_dir;
  /// Every certificate issued to this identity until now, or the one of this serial; neither: only
  /// signs the list anew.
  std::optional<std::string> identity = {};
  std::optional<std::string> serial_hex = {};
  std::chrono::seconds validity = std::chrono::days(30);  ///< of the list, at most 366 days
};
struct RevokeOutcome {
  std::vector<std::string> serials;  ///< revoked now; empty if all of them were already
  std::size_t revoked = 0;           ///< on the list
  std::filesystem::path list;
  WallTime valid_until{};
};
/// kNotFound for an identity or serial that this authority never issued.
Result<RevokeOutcome> Revoke(const RevokeOptions& options, const Clock& clock);

/// For people who look; says nothing of the signature.
struct RevocationListInfo {
  std::string issuer;
  std::uint64_t number = 0;
  std::string this_update, next_update;                      ///< RFC 3339
  std::vector<std::pair<std::string, std::string>> revoked;  ///< serial in hexadecimal, date
};
/// At least one; kInvalidArgument for a file without.
Result<std::vector<RevocationListInfo>> DescribeRevocationLists(const std::filesystem::path& path);
/// Whether the file looks like one of lists, rather than of certificates.
bool HoldsRevocationLists(const std::filesystem::path& path);

}  // namespace fedmeta
