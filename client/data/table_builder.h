#pragma once

#include <memory>

#include "fedmeta/client/data/dataset.h"
#include "fedmeta/client/data/raw_table.h"
#include "fedmeta/client/data/table_report.h"
#include "fedmeta/core/result.h"
#include "fedmeta/v1/dictionary.pb.h"

namespace fedmeta {

struct BuiltTable {
  TableReport report;
  std::shared_ptr<const Dataset> dataset;  ///< null where the report has problems
};

/// Reads a site's table once, row by row, as the dictionary and the site's file say. Memory: one
/// float a feature and row used, and while it reads the grouping columns' texts. The dataset's
/// fingerprint is over what was read.
///
/// What is wrong with the content is all in the report. Errors: a dictionary that CheckDictionary
/// refuses, and what ends the reading, such as a table without a form, a program that fails, or one
/// that needs more than table.memory_bytes (kResourceExhausted). No text names a value.
Result<BuiltTable> BuildTable(const RawTable& table, const v1::Dictionary& dictionary);

/// The same where a table with problems is an error, which names all of them.
Result<std::shared_ptr<const Dataset>> BuildUsableTable(const RawTable& table,
                                                        const v1::Dictionary& dictionary);

}  // namespace fedmeta
