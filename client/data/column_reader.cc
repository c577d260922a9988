#include "fedmeta/client/data/column_reader.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "fedmeta/core/text.h"

namespace fedmeta {
namespace {

constexpr float kNone = std::numeric_limits<float>::quiet_NaN();
constexpr std::size_t kSample = 4096;
constexpr std::uint64_t kLeastToJudge = 10;

std::string Named(const v1::Feature& feature) { return "'" + feature.name() + "'"; }

bool MayBeAbsent(const v1::Feature& feature) {
  return feature.has_impute() || feature.missing() == "zero_with_flag";
}

/// To one digit: an order of magnitude, not the site's figure.
std::string Roughly(double factor) {
  const double unit = std::pow(10.0, std::floor(std::log10(factor)));
  return FormatNumber(std::round(factor / unit) * unit);
}

}  // namespace

Result<std::size_t> FindColumn(const std::vector<std::string>& columns, const std::string& name) {
  const auto found = std::find(columns.begin(), columns.end(), name);
  if (found == columns.end()) {
    return Error(ErrorCode::kInvalidArgument, "there is no column '" + name + "' among the " +
                                                  std::to_string(columns.size()) + " of the table");
  }
  if (std::find(found + 1, columns.end(), name) != columns.end()) {
    return Error(ErrorCode::kInvalidArgument, "there is more than one column '" + name + "'");
  }
  return static_cast<std::size_t>(found - columns.begin());
}

ColumnReader::ColumnReader(const v1::Feature& feature, const v1::SiteData& site,
                           const std::vector<std::string>& columns, char decimal_mark,
                           std::vector<std::string>& problems)
    : feature_(feature), decimal_mark_(decimal_mark) {
  report_.name = feature.name();
  const auto mapping = site.columns().find(feature.name());
  if (mapping != site.columns().end()) mapping_ = mapping->second;
  const bool renamed = mapping_.has_from();
  const auto column = FindColumn(columns, renamed ? mapping_.from() : feature.name());
  if (column.ok()) {
    column_ = *column;
  } else if (renamed || !MayBeAbsent(feature)) {
    problems.push_back(Named(feature) + ": " + column.error().message() +
                       (renamed ? ": correct columns." + feature.name() + ".from"
                                : ": name it under columns." + feature.name() + ".from"));
  }
  for (const std::string& code : site.missing()) missing_.Add(std::string(TrimCell(code)), 0);
  if (site.missing().empty()) missing_.Add("", 0);
  for (int i = 0; i < feature.levels_size(); ++i) {
    levels_.Add(feature.levels(i), static_cast<std::size_t>(i));
  }
  for (const auto& [text, meaning] : mapping_.map()) {
    const bool fits = feature.kind() == "category" ? levels_.Find(meaning, '.').has_value()
                                                   : ParseCell(meaning, '.').has_value();
    if (!fits) {
      problems.push_back(Named(feature) + ": columns." + feature.name() + ".map leads to '" +
                         meaning + "', which is no " +
                         (feature.kind() == "category" ? "level of it" : "number"));
    }
    mapped_.Add(text, meanings_.size());
    meanings_.push_back(meaning);
  }
}

float ColumnReader::Read(const std::vector<std::string_view>& cells) {
  if (!column_) return Without(CellState::kAbsent);
  std::string_view cell = TrimCell(cells[*column_]);
  if (missing_.Find(cell, decimal_mark_)) return Without(CellState::kMissing);
  state_ = CellState::kKnown;
  if (!meanings_.empty()) {
    if (const auto mapped = mapped_.Find(cell, decimal_mark_)) cell = meanings_[*mapped];
  }
  if (feature_.kind() == "number") return ReadNumber(cell);
  if (const auto level = levels_.Find(cell, decimal_mark_)) return static_cast<float>(*level);
  return Without(CellState::kUnknown);
}

/// No value, for this reason.
float ColumnReader::Without(CellState state) {
  state_ = state;
  switch (state) {
    case CellState::kMissing:
      ++report_.missing;
      break;
    case CellState::kOutside:
      ++report_.outside;
      break;
    case CellState::kUnknown:
      ++report_.unknown;
      break;
    case CellState::kUnreadable:
      ++report_.unreadable;
      break;
    default:
      break;
  }
  return kNone;
}

float ColumnReader::ReadNumber(std::string_view cell) {
  const auto number = ParseCell(cell, decimal_mark_);
  const double scale = mapping_.has_scale() ? mapping_.scale() : 1;
  number_ = number.value_or(0) * scale + mapping_.offset();
  const auto value = static_cast<float>(number_);
  if (!number || !std::isfinite(value)) return Without(CellState::kUnreadable);
  ++known_;
  if (feature_.range().empty()) return value;
  if (sample_.size() < kSample) sample_.push_back(value);
  if (value >= static_cast<float>(feature_.range(0)) &&
      value <= static_cast<float>(feature_.range(1))) {
    return value;
  }
  return Without(CellState::kOutside);
}

void ColumnReader::Judge(std::vector<std::string>& problems) const {
  const std::string columns = "columns." + feature_.name();
  if (report_.unreadable > 0) {
    problems.push_back(Named(feature_) + " is no number in " + ShownCount(report_.unreadable) +
                       " rows: name its codes under missing, or correct " + columns +
                       ".from or source.decimal");
  }
  if (report_.unknown > 0 && feature_.unknown() != "missing") {
    problems.push_back(Named(feature_) + " has a level that the experiment does not know in " +
                       ShownCount(report_.unknown) + " rows: say what it means under " + columns +
                       ".map");
  }
  JudgeRange(problems);
  const std::uint64_t unknown = feature_.unknown() == "missing" ? report_.unknown : 0;
  const std::uint64_t without = report_.missing + report_.outside + unknown;
  if (feature_.missing() == "refuse" && without > 0) {
    problems.push_back(Named(feature_) + " is missing or outside its range in " +
                       ShownCount(without) +
                       " rows, which the experiment refuses: complete them, or ask for another "
                       "rule (features.missing)");
  }
}

/// A unit that is off moves nearly every value.
void ColumnReader::JudgeRange(std::vector<std::string>& problems) const {
  if (known_ < kLeastToJudge || report_.outside * 2 <= known_) return;
  const double low = feature_.range(0);
  const double high = feature_.range(1);
  std::vector<float> sample = sample_;
  const auto middle = sample.begin() + static_cast<std::ptrdiff_t>(sample.size() / 2);
  std::nth_element(sample.begin(), middle, sample.end());
  std::string off;
  if (*middle > 0 && low > 0 && *middle < low) {
    off = "; its median lies below by a factor of about " + Roughly(low / *middle);
  } else if (high > 0 && *middle > high) {
    off = "; its median lies above by a factor of about " + Roughly(*middle / high);
  }
  const std::string unit = feature_.unit().empty() ? "" : " " + feature_.unit();
  problems.push_back(Named(feature_) + " lies outside [" + FormatNumber(low) + ", " +
                     FormatNumber(high) + "]" + unit + " in more than half of the rows" + off +
                     ": set columns." + feature_.name() + ".scale if the unit differs");
}

}  // namespace fedmeta
