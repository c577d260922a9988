#pragma once

#include <cstdint>
#include <span>
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
  std::uint64_t label_outside = 0;  ///< label outside its range; dropped
  std::uint64_t without_group = 0;  ///< dropped
  std::uint64_t groups = 0;         ///< persons of the rows used; 0 without grouping columns
  std::vector<FeatureReport> features;
  std::vector<std::pair<std::string, std::uint64_t>> labels;  ///< level, rows used
  /// Why the table cannot be used; empty: it can.
  std::vector<std::string> problems;
  std::vector<std::string> warnings;
};

/// "0", "<10", "1,234": a count of records that nothing else shown adds up with.
std::string ShownCount(std::uint64_t count);

/// How the counts of one account may be shown. A count from 1 to 9 is "<10"; where one of them is,
/// the others are rounded to tens, "about 120", and sums are those of what is shown, so that no
/// difference gives it away. Immutable.
class CountDisclosure {
 public:
  /// All counts of the account that are no sums: classes, reasons, the rest.
  explicit CountDisclosure(std::span<const std::uint64_t> parts);

  std::string Show(std::uint64_t count) const;
  /// The sum of parts of the account, as a number that may be shown, and as text.
  std::uint64_t Sum(std::span<const std::uint64_t> parts) const;
  std::string ShowSum(std::span<const std::uint64_t> parts) const;
  /// "137 (45 %)", the share of a Sum; left out where the count is not shown.
  std::string ShowWithShare(std::uint64_t count, std::uint64_t sum) const;
  /// Whether counts are rounded.
  bool rounds() const { return rounds_; }

 private:
  std::uint64_t Rounded(std::uint64_t count) const;
  bool rounds_ = false;
};

/// The parts of a table's rows that were used, and of all its rows.
std::vector<std::uint64_t> UsedParts(const TableReport& report);
std::vector<std::uint64_t> RowParts(const TableReport& report);
/// Of all counts of a table.
CountDisclosure DisclosureOf(const TableReport& report);

}  // namespace fedmeta
