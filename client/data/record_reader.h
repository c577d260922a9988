#pragma once

#include <memory>
#include <string>
#include <vector>

#include "fedmeta/client/data/raw_table.h"
#include "fedmeta/client/data/table_report.h"
#include "fedmeta/core/result.h"
#include "fedmeta/v1/dictionary.pb.h"

namespace fedmeta {

struct Record {
  /// One a feature, in the dictionary's order: a number, a level's place, or NaN for none.
  std::vector<float> values = {};
  std::string id = {};
  /// Why it cannot be scored, e.g. "chol: missing"; empty: it can. Names no value.
  std::string problem = {};
};

/// Records to be scored: a site's table by the dictionary and the site's file, without label, row
/// by row. Every row is given, also one that cannot be scored. Not thread-safe.
class RecordReader {
 public:
  virtual ~RecordReader() = default;
  /// False after the last.
  virtual Result<bool> Next(Record& record) = 0;
  /// Counts over what was read, one a feature.
  virtual std::vector<FeatureReport> Report() const = 0;
};

/// `id`: a column of the table whose cells come along as they are; empty: none. Errors: a
/// dictionary that CheckDictionary refuses, columns that are not there (all of them), and what
/// RawTable::open says.
Result<std::unique_ptr<RecordReader>> OpenRecords(const RawTable& table,
                                                  const v1::Dictionary& dictionary,
                                                  const std::string& id);

}  // namespace fedmeta
