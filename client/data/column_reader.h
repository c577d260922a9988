#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "fedmeta/client/data/cell_codes.h"
#include "fedmeta/client/data/table_report.h"
#include "fedmeta/core/result.h"
#include "fedmeta/v1/client.pb.h"
#include "fedmeta/v1/dictionary.pb.h"

namespace fedmeta {

/// What the cell last read was.
enum class CellState : std::uint8_t {
  kKnown,
  kAbsent,      ///< the site has no such column
  kMissing,     ///< a missing code
  kOutside,     ///< outside its range
  kUnknown,     ///< a level that the dictionary does not have
  kUnreadable,  ///< no number
};

/// Reads one feature out of a site's column: missing codes, the site's own texts and units, range,
/// levels; counts what it cannot use. Not thread-safe.
class ColumnReader {
 public:
  /// The feature is one that CheckDictionary passes. What is wrong with the site's mapping is added
  /// to `problems`.
  ColumnReader(const v1::Feature& feature, const v1::SiteData& site,
               const std::vector<std::string>& columns, char decimal_mark,
               std::vector<std::string>& problems);

  bool absent() const { return !column_.has_value(); }
  /// The number, or the level's place among the levels; NaN where there is no usable value, for
  /// whatever reason.
  float Read(const std::vector<std::string_view>& cells);
  /// Of the last Read.
  CellState state() const { return state_; }
  /// The number of the last Read that was known, as it was before it became a float.
  double number() const { return number_; }
  const FeatureReport& report() const { return report_; }
  /// After the last row: what the feature's rules refuse.
  void Judge(std::vector<std::string>& problems) const;

 private:
  float ReadNumber(std::string_view cell);
  float Without(CellState state);
  void JudgeRange(std::vector<std::string>& problems) const;

  v1::Feature feature_;
  v1::Column mapping_;
  char decimal_mark_;
  std::optional<std::size_t> column_;
  CellCodes missing_;
  CellCodes mapped_;
  std::vector<std::string> meanings_;  // of mapped_
  CellCodes levels_;
  std::uint64_t known_ = 0;    // numbers read, outside the range or not
  std::vector<float> sample_;  // the first of them, for their order of magnitude
  CellState state_ = CellState::kAbsent;
  double number_ = 0;
  FeatureReport report_;
};

/// The one column of this name. An error says that there is none, or more than one.
Result<std::size_t> FindColumn(const std::vector<std::string>& columns, const std::string& name);

}  // namespace fedmeta
