#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace fedmeta {

/// What became of one feature's cells, over all rows read.
struct FeatureReport {
  std::string name;
  bool absent = false;           ///< the site has no such column; imputed
  std::uint64_t missing = 0;     ///< a missing code
  std::uint64_t outside = 0;     ///< outside its range
  std::uint64_t unknown = 0;     ///< a level that the dictionary does not have
  std::uint64_t unreadable = 0;  ///< no number
  std::uint64_t dropped = 0;     ///< rows left out because of it
};

/// How a site's table was read: counts, never a value.
struct TableReport {
  std::uint64_t rows = 0;
  std::uint64_t used = 0;
  std::uint64_t without_label = 0;  ///< dropped
  std::uint64_t without_group = 0;  ///< dropped
  std::uint64_t groups = 0;         ///< persons of the rows used; 0 without grouping columns
  std::vector<FeatureReport> features;
  std::vector<std::pair<std::string, std::uint64_t>> labels;  ///< level, rows used
  /// Why the table cannot be used; empty: it can.
  std::vector<std::string> problems;
  std::vector<std::string> warnings;
};

/// "0", "<10", "1,234": counts of records as they may be shown.
std::string ShownCount(std::uint64_t count);

}  // namespace fedmeta
