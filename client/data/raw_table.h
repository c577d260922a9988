#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "fedmeta/core/digest.h"
#include "fedmeta/core/result.h"
#include "fedmeta/v1/client.pb.h"

namespace fedmeta {

/// Rows of text cells in order, once; only one row is in memory. Not thread-safe.
class RowReader {
 public:
  virtual ~RowReader() = default;
  virtual const std::vector<std::string>& columns() const = 0;
  /// The next row, one cell a column, in UTF-8, valid until the next call; false after the last.
  /// Errors say what is wrong with the form, never a cell or where it stands.
  virtual Result<bool> Next(std::vector<std::string_view>& cells) = 0;
  /// What stands before the fraction of a number in these cells.
  virtual char decimal_mark() const = 0;
  /// SHA-256 over what was read. Once, after Next has returned false.
  virtual Digest Fingerprint() = 0;
};

/// A site's table before anybody has said which columns count: it is read when an experiment brings
/// its data dictionary. Immutable; every call of `open` reads from the start.
struct RawTable {
  std::function<Result<std::unique_ptr<RowReader>>()> open;
  /// Changes when the table is replaced under a run; always empty where that cannot be seen.
  std::function<std::string()> stamp;
  /// Columns, missing codes and groups as the site's file has them. Without one: columns are called
  /// as features, an empty cell is missing.
  v1::SiteData site;
  std::uint64_t memory_bytes = std::uint64_t{4096} << 20;  ///< what is kept of it
};

}  // namespace fedmeta
