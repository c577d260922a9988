#include "fedmeta/coordinator/audit_file.h"

#include <utility>

#include "fedmeta/protocol/audit_chain.h"

namespace fedmeta {
namespace {

constexpr std::string_view kHashKey = ",\"hash\":\"";

Result<AuditEntry> ParseLine(std::string_view line, std::uint64_t index, const Digest& previous) {
  const auto damaged = [](const std::string& why) { return Error(ErrorCode::kDataLoss, why); };
  const std::size_t split = line.rfind(kHashKey);
  if (split == std::string_view::npos) return damaged("has no hash");
  const nlohmann::json object = nlohmann::json::parse(line, nullptr, false);
  if (!object.is_object() || !object.contains("kind") || !object["kind"].is_string() ||
      !object.contains("n") || !object["n"].is_number_unsigned()) {
    return damaged("is no entry");
  }
  AuditEntry entry{.index = index,
                   .kind = object["kind"],
                   .fields = object,
                   .text = Digest::Of(line.substr(0, split)),
                   .hash = {}};
  entry.hash = NextAuditHash(previous, entry.text);
  if (object["n"] != index) {
    return damaged("is numbered " + object["n"].dump() + ": entries are missing or out of order");
  }
  if (std::string(line.substr(split)) != std::string(kHashKey) + entry.hash.hex() + "\"}")
    return damaged("does not follow from the entries before it: it or they were changed");
  return entry;
}

}  // namespace

NewAuditEntry MakeAuditEntry(std::uint64_t index, const Digest& previous, const std::string& kind,
                             nlohmann::ordered_json fields) {
  nlohmann::ordered_json object = {{"n", index}, {"kind", kind}};
  for (auto& [key, value] : fields.items()) object[key] = value;
  std::string text = object.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  text.pop_back();  // the closing brace
  NewAuditEntry made;
  made.entry = {.index = index,
                .kind = kind,
                .fields = nlohmann::json(object),
                .text = Digest::Of(text),
                .hash = {}};
  made.entry.hash = NextAuditHash(previous, made.entry.text);
  made.line = text + std::string(kHashKey) + made.entry.hash.hex() + "\"}";
  return made;
}

AuditChain ReadAuditChain(std::string_view content) {
  AuditChain chain;
  Digest previous;
  for (std::size_t begin = 0; begin < content.size();) {
    const std::size_t end = content.find('\n', begin);
    const std::uint64_t index = chain.entries.size() + 1;
    if (end == std::string_view::npos) {
      chain.torn = true;
      chain.damaged = "entry " + std::to_string(index) + " is not ended";
      return chain;
    }
    Result<AuditEntry> entry = ParseLine(content.substr(begin, end - begin), index, previous);
    if (!entry.ok()) {
      chain.damaged = "entry " + std::to_string(index) + " " + entry.error().message();
      return chain;
    }
    previous = entry->hash;
    chain.entries.push_back(*std::move(entry));
    begin = end + 1;
    chain.bytes = begin;
  }
  return chain;
}

}  // namespace fedmeta
