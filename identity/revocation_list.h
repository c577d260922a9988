#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "fedmeta/core/clock.h"
#include "fedmeta/core/result.h"
#include "fedmeta/identity/x509.h"

// For this room only.

namespace fedmeta {

/// Which certificates of the federation's authorities no longer count: certificate revocation lists
/// (RFC 5280) in PEM, one an authority, one after the other. Each is signed by its authority and
/// says until when it may be used. Nothing is guessed: a certificate whose issuer has no list here
/// is refused like one that is on the list. Immutable, thread-safe.
class RevocationList {
 public:
  /// `authorities_pem`: the certificates that may sign a list, one text or several.
  /// kInvalidArgument (with `path`): no list, a damaged one, a list that nobody here signed, one
  /// without an end, or a partial one (with critical extensions).
  static Result<RevocationList> Parse(std::string_view pem, const std::filesystem::path& path,
                                      std::span<const std::string_view> authorities_pem);
  RevocationList(RevocationList&&) noexcept;
  RevocationList& operator=(RevocationList&&) noexcept;
  ~RevocationList();

  /// kUnavailable: a list is past its end, or of the future.
  Status CheckFresh(WallTime now) const;
  /// Of all certificates that a peer presented. kPermissionDenied: revoked. kUnavailable: there is
  /// no list of an issuer.
  Status CheckCertificates(std::span<const x509::Certificate> presented) const;
  /// Whether one of the lists is older than the same authority's list in `before`:
  /// kInvalidArgument. Somebody who can only copy files must not bring a revoked party back.
  Status CheckNotOlderThan(const RevocationList& before) const;

  WallTime valid_from() const, valid_until() const;  ///< of the list that ends first
  std::size_t revoked() const;

 private:
  struct OneList;
  RevocationList(std::string path, std::vector<OneList> lists);
  const OneList& FirstToEnd() const;

  std::string path_;
  std::vector<OneList> lists_;
};

}  // namespace fedmeta
