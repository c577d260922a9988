#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "fedmeta/core/digest.h"
#include "fedmeta/core/result.h"

// For this room only: lines of an audit chain (protocol/audit_chain.h).
namespace fedmeta {

struct AuditEntry {
  std::uint64_t index = 0;  ///< from 1
  std::string kind;
  nlohmann::json fields;
  Digest text, hash;
};

/// The line for an entry, without its end, and what it becomes part of the chain as.
struct NewAuditEntry {
  std::string line;
  AuditEntry entry;
};
NewAuditEntry MakeAuditEntry(std::uint64_t index, const Digest& previous, const std::string& kind,
                             nlohmann::ordered_json fields);

/// As far as the chain is whole.
struct AuditChain {
  std::vector<AuditEntry> entries;
  std::uint64_t bytes = 0;             ///< of these entries
  std::optional<std::string> damaged;  ///< why the entry after them is none
  bool torn = false;  ///< that one is the last, and not ended: never promised to anyone
};
AuditChain ReadAuditChain(std::string_view content);

}  // namespace fedmeta
