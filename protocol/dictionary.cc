#include "fedmeta/protocol/dictionary.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <set>
#include <string_view>

#include "fedmeta/core/text.h"

namespace fedmeta {
namespace {

using Numbers = google::protobuf::RepeatedField<double>;

std::string Listed(const Numbers& numbers) {
  std::vector<std::string> texts;
  for (const double number : numbers) texts.push_back(FormatNumber(number));
  return "[" + Join(texts, ", ") + "]";
}

/// Whether a text says no (0) or yes (1) where a label is binary.
bool Spells(std::string_view text, std::size_t meaning) {
  const auto number = ParseNumber(text);
  return (number && *number == static_cast<double>(meaning)) ||
         std::any_of(kBinarySpellings.begin(), kBinarySpellings.end(),
                     [&](const auto& pair) { return pair[meaning] == text; });
}

class DictionaryChecks {
 public:
  explicit DictionaryChecks(const v1::Dictionary& dictionary) : dictionary_(dictionary) {}

  std::vector<DictionaryProblem> Run() {
    if (dictionary_.features().empty()) {
      if (dictionary_.has_label()) Report("label", "needs features, the columns that a model sees");
      return problems_;
    }
    if (dictionary_.features_size() > kMaximumFeatures) {
      Report("features", "must be at most " + std::to_string(kMaximumFeatures) + ", got " +
                             std::to_string(dictionary_.features_size()));
      return problems_;
    }
    CheckLabel();
    for (int i = 0; i < dictionary_.features_size(); ++i) CheckFeature(i);
    if (levels_ > kMaximumLevels) {
      Report("features", "have more than " + std::to_string(kMaximumLevels) + " levels together");
    }
    return problems_;
  }

 private:
  void Report(const std::string& path, const std::string& message) {
    problems_.push_back({path, message});
  }

  void CheckName(const std::string& path, const std::string& name) {
    if (name.empty() || name.size() > kMaximumNameBytes) {
      Report(path, "must have 1 to " + std::to_string(kMaximumNameBytes) + " bytes, got " +
                       std::to_string(name.size()));
    } else if (!names_.insert(name).second) {
      Report(path, "'" + name + "' is the name of another feature or of the label");
    }
  }

  void CheckLevels(const std::string& path,
                   const google::protobuf::RepeatedPtrField<std::string>& levels) {
    if (levels.size() < 2) {
      Report(path, "must be at least 2, got " + std::to_string(levels.size()));
    }
    std::set<std::string_view> seen;
    for (const std::string& level : levels) {
      if (level.empty() || level.size() > kMaximumNameBytes) {
        Report(path, "must each have 1 to " + std::to_string(kMaximumNameBytes) + " bytes, got " +
                         std::to_string(level.size()));
      } else if (!seen.insert(level).second) {
        Report(path, "have '" + level + "' twice");
      }
    }
  }

  void CheckLabel() {
    if (!dictionary_.has_label()) return Report("label", "is needed with features");
    const v1::Label& label = dictionary_.label();
    CheckName("label.name", label.name());
    if (label.levels_size() > kMaximumLevels) {
      return Report("label.levels", "must be at most " + std::to_string(kMaximumLevels));
    }
    CheckLevels("label.levels", label.levels());
    if (label.kind() == "number") return CheckLabelBounds(label);
    const auto refuse = [&](bool set, const char* key) {
      if (set) Report(std::string("label.") + key, "belongs to kind number");
    };
    refuse(label.has_unit(), "unit");
    refuse(!label.range().empty(), "range");
    refuse(!label.above().empty(), "above");
    refuse(!label.at_least().empty(), "at_least");
    if (label.kind() == "binary") {
      CheckBinary(label);
    } else if (label.kind() != "category") {
      Report("label.kind", "must be category, binary or number, got '" + label.kind() + "'");
    }
  }

  /// A level called "1" that means no would be read as yes at the next site.
  void CheckBinary(const v1::Label& label) {
    if (label.levels_size() != 2) {
      return Report("label.levels",
                    "must be 2 with kind binary, got " + std::to_string(label.levels_size()));
    }
    for (const int place : {0, 1}) {
      const std::string& level = label.levels(place);
      if (!Spells(level, static_cast<std::size_t>(1 - place))) continue;
      Report("label.levels", "stand in the order no, yes with kind binary, but '" + level +
                                 "' says " + (place == 0 ? "yes" : "no") +
                                 ": turn them round, or take kind category");
    }
  }

  void CheckLabelBounds(const v1::Label& label) {
    if (label.above().empty() == label.at_least().empty()) {
      return Report("label", "needs either above or at_least with kind number");
    }
    const bool above = !label.above().empty();
    const Numbers& bounds = above ? label.above() : label.at_least();
    const std::string path = above ? "label.above" : "label.at_least";
    if (bounds.size() + 1 != label.levels_size()) {
      Report(path, "must be one fewer than the " + std::to_string(label.levels_size()) +
                       " levels, got " + std::to_string(bounds.size()));
    }
    const bool finite = std::all_of(bounds.begin(), bounds.end(),
                                    [](double bound) { return std::isfinite(bound); });
    if (!finite ||
        std::adjacent_find(bounds.begin(), bounds.end(), std::greater_equal<>()) != bounds.end()) {
      return Report(path, "must ascend, got " + Listed(bounds));
    }
    if (CheckRange("label.range", label.range()) &&
        (*bounds.begin() < label.range(0) || *bounds.rbegin() > label.range(1))) {
      Report(path,
             "must lie within the range " + Listed(label.range()) + ", got " + Listed(bounds));
    }
  }

  /// Whether there is one, and it is good.
  bool CheckRange(const std::string& path, const Numbers& range) {
    if (range.empty()) return false;
    if (range.size() == 2 && std::isfinite(range[0]) && std::isfinite(range[1]) &&
        range[0] < range[1]) {
      return true;
    }
    Report(path, "must be [lowest, highest] with lowest < highest, got " + Listed(range));
    return false;
  }

  void CheckFeature(int index) {
    const v1::Feature& feature = dictionary_.features(index);
    const std::string path = "features[" + std::to_string(index) + "]";
    CheckName(path + ".name", feature.name());
    const std::set<std::string_view> kMissing = {"mean", "median", "zero_with_flag", "drop_row",
                                                 "refuse"};
    if (!kMissing.contains(feature.missing())) {
      Report(path + ".missing", "has no rule '" + feature.missing() + "'");
    }
    if (feature.unknown() != "refuse" && feature.unknown() != "missing") {
      Report(path + ".unknown", "has no rule '" + feature.unknown() + "'");
    }
    if (feature.kind() == "number") {
      CheckNumber(path, feature);
    } else if (feature.kind() == "category") {
      CheckCategory(path, feature);
    } else {
      Report(path + ".kind", "must be number or category, got '" + feature.kind() + "'");
    }
  }

  void CheckNumber(const std::string& path, const v1::Feature& feature) {
    if (!feature.levels().empty()) Report(path + ".levels", "belong to kind category");
    const bool ranged = CheckRange(path + ".range", feature.range());
    if (feature.has_impute() &&
        (!std::isfinite(feature.impute()) || (ranged && (feature.impute() < feature.range(0) ||
                                                         feature.impute() > feature.range(1))))) {
      Report(path + ".impute",
             "must be a number within the range, got " + FormatNumber(feature.impute()));
    }
    const bool given = dictionary_.standardize() == "given";
    if (given &&
        !(feature.has_mean() && feature.has_standard_deviation() && std::isfinite(feature.mean()) &&
          std::isfinite(feature.standard_deviation()) && feature.standard_deviation() > 0)) {
      Report(path, "needs mean and standard_deviation with standardize given");
    }
    if (!given && (feature.has_mean() || feature.has_standard_deviation())) {
      Report(path + (feature.has_mean() ? ".mean" : ".standard_deviation"),
             "is read with standardize given only, which is " + dictionary_.standardize() +
                 "; remove it");
    }
  }

  void CheckCategory(const std::string& path, const v1::Feature& feature) {
    CheckLevels(path + ".levels", feature.levels());
    levels_ += feature.levels_size();
    const auto refuse = [&](bool set, const char* key) {
      if (set) Report(path + "." + key, "belongs to kind number");
    };
    refuse(!feature.range().empty(), "range");
    refuse(feature.has_impute(), "impute");
    refuse(feature.has_mean(), "mean");
    refuse(feature.has_standard_deviation(), "standard_deviation");
    refuse(feature.has_unit(), "unit");
    if (feature.missing() == "mean" || feature.missing() == "median") {
      Report(path + ".missing",
             "must be zero_with_flag, drop_row or refuse for a category, got " + feature.missing());
    }
  }

  const v1::Dictionary& dictionary_;
  std::vector<DictionaryProblem> problems_;
  std::set<std::string> names_;
  std::int64_t levels_ = 0;
};

}  // namespace

std::vector<DictionaryProblem> CheckDictionary(const v1::Dictionary& dictionary) {
  return DictionaryChecks(dictionary).Run();
}

v1::Dictionary DictionaryOf(const v1::Data& data) {
  v1::Dictionary dictionary;
  *dictionary.mutable_features() = data.features();
  if (data.has_label()) *dictionary.mutable_label() = data.label();
  dictionary.set_standardize(data.standardize());
  return dictionary;
}

std::string LabelRule(const v1::Label& label) {
  if (label.kind() != "number") return "";
  const bool above = !label.above().empty();
  const Numbers& bounds = above ? label.above() : label.at_least();
  std::vector<std::string> rules;
  for (int i = 0; i < label.levels_size(); ++i) {
    const char* from = above ? "above " : "from ";
    const char* below = above ? "up to " : "below ";
    rules.push_back(label.levels(i) + ": " + (i == 0 ? below : from) +
                    FormatNumber(bounds[std::max(0, i - 1)]) +
                    (label.unit().empty() ? "" : " " + label.unit()));
  }
  return Join(rules, ", ");
}

bool HasFlag(const v1::Feature& feature) {
  return feature.missing() == "zero_with_flag" || feature.has_impute();
}

std::vector<std::string> InputNames(const v1::Dictionary& dictionary) {
  std::vector<std::string> names;
  for (const v1::Feature& feature : dictionary.features()) {
    if (feature.kind() == "number") names.push_back(feature.name());
    for (const std::string& level : feature.levels()) {
      names.push_back(feature.name() + "=" + level);
    }
    if (HasFlag(feature)) names.push_back(feature.name() + "?");
  }
  return names;
}

}  // namespace fedmeta
