#include "fedmeta/records/words.h"

#include <cmath>
#include <cstdio>
#include <map>

#include "fedmeta/core/text.h"

namespace fedmeta {

std::string MethodName(const std::string& method) {
  const std::map<std::string, std::string> names = {{"maml", "MAML"},
                                                    {"fomaml", "FOMAML"},
                                                    {"reptile", "Reptile"},
                                                    {"fedavg", "FedAvg, then adapted"},
                                                    {"local", "alone, from scratch"}};
  const auto found = names.find(method);
  return found == names.end() ? method : found->second;
}

std::string Counted(std::uint64_t count, const std::string& singular, const std::string& plural) {
  return FormatCount(count) + " " + (count == 1 ? singular : plural);
}

std::string ShotsText(std::uint64_t shots, const std::string& shots_of) {
  const bool rows = shots_of == "rows";
  if (shots == 0) return rows ? "all support rows" : "all support examples";
  if (rows) return Counted(shots, "row", "rows");
  return Counted(shots, "example", "examples") + " a " + shots_of;
}

std::string Fixed(double value, int digits) {
  if (!std::isfinite(value)) return "-";
  char text[64];
  if (std::fabs(value) >= 1e9) {
    std::snprintf(text, sizeof(text), "%.3g", value);
  } else {
    std::snprintf(text, sizeof(text), "%.*f", digits, value);
  }
  return text;
}

}  // namespace fedmeta
