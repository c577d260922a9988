#include "fedmeta/cli/sweep_plan.h"

#include <cctype>
#include <optional>
#include <set>

#include "fedmeta/core/text.h"

namespace fedmeta {
namespace {

struct Axis {
  std::string key;
  std::vector<std::string> values;
};

Error Refused(const std::string& argument, const std::string& what) {
  return {ErrorCode::kInvalidArgument, "argument '" + argument + "': " + what};
}

/// At commas that stand outside brackets and quotes.
std::vector<std::string> SplitValues(const std::string& text) {
  std::vector<std::string> values(1);
  int depth = 0;
  char quote = 0;
  for (const char c : text) {
    if (quote != 0) {
      if (c == quote) quote = 0;
    } else if (c == '"' || c == '\'') {
      quote = c;
    } else if (c == '[' || c == '{') {
      ++depth;
    } else if (c == ']' || c == '}') {
      --depth;
    } else if (c == ',' && depth == 0) {
      values.emplace_back();
      continue;
    }
    values.back() += c;
  }
  return values;
}

std::optional<std::uint64_t> Whole(const std::string& text) {
  if (text.empty() || text.size() > 18) return std::nullopt;
  std::uint64_t value = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return std::nullopt;
    value = 10 * value + static_cast<std::uint64_t>(c - '0');
  }
  return value;
}

/// "1..5" as "1", ..., "5"; another text as it is.
Result<std::vector<std::string>> Expand(const std::string& argument, const std::string& value) {
  const std::size_t dots = value.find("..");
  if (dots == std::string::npos) return std::vector<std::string>{value};
  const auto first = Whole(value.substr(0, dots));
  const auto last = Whole(value.substr(dots + 2));
  if (!first || !last) return std::vector<std::string>{value};
  if (*first > *last || *last - *first >= kMaximumSweepRuns)
    return Refused(argument, "a range must ascend and have at most " +
                                 FormatCount(kMaximumSweepRuns) + " values");
  std::vector<std::string> values;
  for (std::uint64_t i = *first; i <= *last; ++i) values.push_back(std::to_string(i));
  return values;
}

Result<Axis> ReadAxis(const std::string& argument) {
  const std::size_t equals = argument.find('=');
  if (equals == std::string::npos || equals == 0)
    return Refused(argument, "must be key.path=value,value or key.path=first..last");
  Axis axis{.key = argument.substr(0, equals), .values = {}};
  for (const std::string& value : SplitValues(argument.substr(equals + 1))) {
    if (value.empty()) return Refused(argument, "has an empty value");
    FEDMETA_ASSIGN_OR_RETURN(const std::vector<std::string> expanded, Expand(argument, value));
    axis.values.insert(axis.values.end(), expanded.begin(), expanded.end());
  }
  return axis;
}

/// What a file name holds of "data.partition.holdout_sites=[va]": "holdout_sites=va".
std::string FolderPart(const std::string& key, const std::string& value) {
  std::string part = key.substr(key.rfind('.') + 1) + "=";
  for (const char c : value) {
    const bool plain = std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '.' || c == '-' ||
                       c == '_' || c == '+';
    if (plain) part += c;
    if (c == ',') part += '+';
  }
  return part;
}

}  // namespace

Result<std::vector<SweepRun>> PlanSweep(std::span<const std::string> arguments) {
  std::vector<SweepRun> runs(1);
  for (const std::string& argument : arguments) {
    FEDMETA_ASSIGN_OR_RETURN(const Axis axis, ReadAxis(argument));
    if (runs.size() * axis.values.size() > kMaximumSweepRuns)
      return Refused(argument, "makes more than " + FormatCount(kMaximumSweepRuns) + " runs");
    std::vector<SweepRun> next;
    for (const SweepRun& run : runs) {
      for (const std::string& value : axis.values) {
        next.push_back(run);
        next.back().overrides.push_back(axis.key + "=" + value);
        if (axis.values.size() == 1) continue;
        std::string& name = next.back().name;
        name += (name.empty() ? "" : ",") + FolderPart(axis.key, value);
      }
    }
    runs = std::move(next);
  }
  std::set<std::string> names;
  for (SweepRun& run : runs) {
    if (run.name.empty()) run.name = "run";
    if (!names.insert(run.name).second) {
      return Error(ErrorCode::kInvalidArgument, "two runs of the sweep would be called '" +
                                                    run.name + "': a value stands twice");
    }
  }
  return runs;
}

}  // namespace fedmeta
