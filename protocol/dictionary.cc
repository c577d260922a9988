#include "fedmeta/protocol/dictionary.h"

#include <cmath>
#include <set>
#include <string_view>

#include "fedmeta/core/text.h"

namespace fedmeta {
namespace {

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
    if (label.kind() != "category") {
      Report("label.kind", "must be category, got '" + label.kind() + "'");
    }
    if (label.levels_size() > kMaximumLevels) {
      return Report("label.levels", "must be at most " + std::to_string(kMaximumLevels));
    }
    CheckLevels("label.levels", label.levels());
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
    bool ranged = feature.range_size() == 2;
    if (!feature.range().empty()) {
      ranged = ranged && std::isfinite(feature.range(0)) && std::isfinite(feature.range(1)) &&
               feature.range(0) < feature.range(1);
      if (!ranged) {
        std::vector<std::string> bounds;
        for (const double bound : feature.range()) bounds.push_back(FormatNumber(bound));
        Report(path + ".range",
               "must be [lowest, highest] with lowest < highest, got [" + Join(bounds, ", ") + "]");
      }
    }
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
