#include "fedmeta/site/site_ledger.h"

#include <cstdint>
#include <map>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "fedmeta/core/file.h"

namespace fedmeta {
namespace {

/// A line that cannot be read (it is being written just now) is passed over.
Result<std::vector<nlohmann::json>> ReadLines(const std::filesystem::path& path) {
  std::vector<nlohmann::json> lines;
  if (!std::filesystem::exists(path)) return lines;
  FEDMETA_ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) {
    nlohmann::json entry = nlohmann::json::parse(line, nullptr, false);
    if (entry.is_object()) lines.push_back(std::move(entry));
  }
  return lines;
}

struct Total {
  std::uint64_t count = 0, bytes = 0;
  std::string first, last;
};

}  // namespace

Result<nlohmann::json> ReadSiteLedger(const std::filesystem::path& state_dir) {
  FEDMETA_ASSIGN_OR_RETURN(const auto outbound, ReadLines(state_dir / "outbound.jsonl"));
  std::map<std::pair<std::string, std::string>, Total> totals;
  for (const nlohmann::json& line : outbound) {
    Total& total = totals[{line.value("experiment", ""), line.value("kind", "")}];
    ++total.count;
    total.bytes += line.value("bytes", std::uint64_t{0});
    total.last = line.value("time", "");
    if (total.first.empty()) total.first = total.last;
  }
  nlohmann::json sums = nlohmann::json::array();
  for (const auto& [key, total] : totals) {
    sums.push_back({{"experiment", key.first},
                    {"kind", key.second},
                    {"count", total.count},
                    {"bytes", total.bytes},
                    {"first", total.first},
                    {"last", total.last}});
  }
  FEDMETA_ASSIGN_OR_RETURN(const auto privacy, ReadLines(state_dir / "privacy_ledger.jsonl"));
  return nlohmann::json{{"outbound", std::move(sums)}, {"privacy", privacy}};
}

}  // namespace fedmeta
