#pragma once

#include <cstdint>
#include <string>

namespace fedmeta {

enum class Verdict : std::uint8_t {
  kAllowed,
  kPending,  ///< not now: somebody has to approve or resume, or another hour has to come
  kRefused,
};

/// What a site says to work that it is asked for.
struct Decision {
  Verdict verdict = Verdict::kAllowed;
  /// Key of the client file that decided, "policy.minimum_cohort", or "site.pause", "site.reject",
  /// "site.leave", "offer"; empty when allowed.
  std::string rule = {};
  std::string reason = {};  ///< for people; no value from data
  bool allowed() const { return verdict == Verdict::kAllowed; }
  bool operator==(const Decision&) const = default;
};

}  // namespace fedmeta
