#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "fedmeta/v1/dictionary.pb.h"
#include "fedmeta/v1/experiment.pb.h"

namespace fedmeta {

/// What a peer may ask a site to hold per row.
inline constexpr int kMaximumFeatures = 100'000;
inline constexpr int kMaximumLevels = 100'000;  ///< of all features together, and of the label
inline constexpr std::size_t kMaximumNameBytes = 200;

/// What a label of kind binary may be written as, beside its levels: no and yes.
inline constexpr std::array<std::array<std::string_view, 2>, 11> kBinarySpellings = {{
    {"0", "1"},
    {"false", "true"},
    {"False", "True"},
    {"FALSE", "TRUE"},
    {"f", "t"},
    {"F", "T"},
    {"no", "yes"},
    {"No", "Yes"},
    {"NO", "YES"},
    {"n", "y"},
    {"N", "Y"},
}};

/// One thing wrong with a dictionary. `path` is below the block that holds it: "features[2].range".
struct DictionaryProblem {
  std::string path;
  std::string message;  ///< stands behind the path
};

/// Everything that is wrong: names missing or twice, ranges, levels, rules that do not fit the
/// kind. Nothing for a dictionary without features and label: the data is no table. Both sides
/// check: the experiment file when it is loaded, the assignment when it arrives.
std::vector<DictionaryProblem> CheckDictionary(const v1::Dictionary& dictionary);

/// What an experiment's data block says about its table.
v1::Dictionary DictionaryOf(const v1::Data& data);

/// How a number becomes a level of the label, for people: "absent: up to 0, present: above 0".
/// Empty for the other kinds.
std::string LabelRule(const v1::Label& label);

/// Whether a further input says that the value is not the site's own: missing is zero_with_flag, or
/// there is a value to impute.
bool HasFlag(const v1::Feature& feature);

/// Names of the model's inputs in their order; of a dictionary that CheckDictionary passes. A
/// number "chol" is one input "chol", a category "sex" one input a level, "sex=female"; behind
/// them, where the feature has a flag, "chol?".
std::vector<std::string> InputNames(const v1::Dictionary& dictionary);

}  // namespace fedmeta
