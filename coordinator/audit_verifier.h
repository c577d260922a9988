#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "fedmeta/core/result.h"

namespace fedmeta {

/// What an audit file proves (protocol/audit_chain.h).
struct AuditFindings {
  std::string chain;              ///< its name
  std::uint64_t entries = 0;      ///< from the first on, that follow from one another and are sound
  std::uint64_t commits = 0;      ///< among them
  std::uint64_t restores = 0;     ///< restarts with a higher epoch, among them
  std::uint64_t openings = 0;     ///< sessions whose members were asked to open them, among them
  std::uint64_t charges = 0;      ///< releases charged to the privacy account, among them
  double epsilon = 0;             ///< spent, by the last of them
  std::uint64_t told = 0;         ///< further releases, by the word of sites after a restore
  std::uint64_t recovered = 0;    ///< written down from the store, after a crash or a restore
  std::uint64_t turned_away = 0;  ///< kinds of refusals at the door
  bool checks_openings = false;   ///< the last start says whether rounds need openings and charges
  std::string visible;            ///< of updates, by the last start; empty: it does not say
  bool signatures_checked = false;
  std::uint64_t signed_to = 0;  ///< entry that the last good head of the coordinator covers
  /// By identity: the last entry that the client has made sure of and countersigned.
  std::map<std::string, std::uint64_t> countersigned;
  /// Names of clients that were there at the end and have not countersigned it.
  std::vector<std::string> end_unseen_by;
  std::optional<std::string> bad;  ///< the first entry that is not sound, and why
};

/// `trust_pem`: the federation's authority; without it signatures are not looked at. Looks at the
/// file alone: a log that was cut at its end is whole, up to there. Errors: no such file.
Result<AuditFindings> VerifyAudit(const std::filesystem::path& file,
                                  const std::optional<std::string>& trust_pem);

}  // namespace fedmeta
