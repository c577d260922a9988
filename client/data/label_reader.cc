#include "fedmeta/client/data/label_reader.h"

#include <algorithm>
#include <cmath>

#include "fedmeta/protocol/dictionary.h"

namespace fedmeta {
namespace {

/// no and yes in turn, so that a spelling's place modulo 2 is what it means.
void AddBinarySpellings(v1::Feature& feature) {
  for (const auto& pair : kBinarySpellings) {
    for (const std::string_view spelling : pair) feature.add_levels(std::string(spelling));
  }
}

/// The label's column is read as that of a feature whose rows are left out where it is missing.
v1::Feature AsFeature(const v1::Label& label) {
  v1::Feature feature;
  feature.set_name(label.name());
  feature.set_missing("drop_row");
  feature.set_unknown("refuse");
  if (label.kind() == "number") {
    feature.set_kind("number");
    feature.set_unit(label.unit());
    *feature.mutable_range() = label.range();
    return feature;
  }
  feature.set_kind("category");
  *feature.mutable_levels() = label.levels();
  if (label.kind() == "binary") AddBinarySpellings(feature);
  return feature;
}

}  // namespace

LabelReader::LabelReader(const v1::Label& label, const v1::SiteData& site,
                         const std::vector<std::string>& columns, char decimal_mark,
                         std::vector<std::string>& problems)
    : label_(label), column_(AsFeature(label), site, columns, decimal_mark, problems) {}

std::optional<std::int32_t> LabelReader::Read(const std::vector<std::string_view>& cells) {
  const float read = column_.Read(cells);
  if (std::isnan(read)) return std::nullopt;
  if (label_.kind() != "number") return static_cast<std::int32_t>(read) % label_.levels_size();
  const double number = column_.number();
  const bool above = !label_.above().empty();
  const auto& bounds = above ? label_.above() : label_.at_least();
  const auto level = above ? std::lower_bound(bounds.begin(), bounds.end(), number)
                           : std::upper_bound(bounds.begin(), bounds.end(), number);
  return static_cast<std::int32_t>(level - bounds.begin());
}

}  // namespace fedmeta
