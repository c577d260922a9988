#pragma once

#include <memory>
#include <string>
#include <vector>

#include "fedmeta/client/data/byte_stream.h"
#include "fedmeta/client/data/raw_table.h"

namespace fedmeta {

/// The form of delimited text (RFC 4180 with its usual variations).
struct CsvFormat {
  char delimiter = ',';
  char quote = '"';  ///< 0: none
  bool latin1 = false;
  char decimal_mark = '.';
  bool header = true;
  std::vector<std::string> column_names = {};  ///< without a header; empty: "1", "2", ...
};

/// Reads the header. Line ends are LF or CRLF; empty lines are skipped, a byte order mark too.
/// Every row must have as many cells as there are columns. Errors (kInvalidArgument): no rows, not
/// UTF-8, zero bytes, quotes that do not end, a row above 16 MiB, another number of cells.
Result<std::unique_ptr<RowReader>> MakeCsvReader(std::unique_ptr<ByteStream> stream,
                                                 CsvFormat format);

}  // namespace fedmeta
