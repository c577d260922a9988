#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>

#include "fedmeta/core/result.h"

namespace fedmeta {

/// What an audit file proves (protocol/audit_chain.h).
struct AuditFindings {
  std::string chain;           ///< its name
  std::uint64_t entries = 0;   ///< from the first on, that follow from one another and are sound
  std::uint64_t commits = 0;   ///< among them
  std::uint64_t restores = 0;  ///< restarts with a higher epoch, among them
  std::string visible;         ///< of updates, by the last start; empty: it does not say
  bool signatures_checked = false;
  std::uint64_t signed_to = 0;  ///< entry that the last good head of the coordinator covers
  /// By identity: the last entry that the client has made sure of and countersigned.
  std::map<std::string, std::uint64_t> countersigned;
  std::optional<std::string> bad;  ///< the first entry that is not sound, and why
};

/// `trust_pem`: the federation's authority; without it signatures are not looked at. Looks at the
/// file alone: a log that was cut at its end is whole, up to there. Errors: no such file.
Result<AuditFindings> VerifyAudit(const std::filesystem::path& file,
                                  const std::optional<std::string>& trust_pem);

}  // namespace fedmeta
