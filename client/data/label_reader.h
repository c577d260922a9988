#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "fedmeta/client/data/column_reader.h"
#include "fedmeta/v1/client.pb.h"
#include "fedmeta/v1/dictionary.pb.h"

namespace fedmeta {

/// Reads the label out of a site's column: one of its levels, no and yes in any usual spelling, or
/// a number that bounds turn into a level; the site's missing codes, map and unit as for a feature.
/// Not thread-safe.
class LabelReader {
 public:
  /// As a ColumnReader.
  LabelReader(const v1::Label& label, const v1::SiteData& site,
              const std::vector<std::string>& columns, char decimal_mark,
              std::vector<std::string>& problems);

  /// The level's place among the levels; nothing where there is no usable label.
  std::optional<std::int32_t> Read(const std::vector<std::string_view>& cells);
  /// Whether the last Read gave nothing because the number was outside its range.
  bool outside() const { return column_.state() == CellState::kOutside; }
  /// After the last row: what cannot be used.
  void Judge(std::vector<std::string>& problems) const { column_.Judge(problems); }

 private:
  v1::Label label_;
  ColumnReader column_;
};

}  // namespace fedmeta
