#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "fedmeta/client/data/source.h"
#include "fedmeta/client/data/table_report.h"
#include "fedmeta/client/scorer.h"
#include "fedmeta/core/result.h"
#include "fedmeta/v1/dictionary.pb.h"

namespace fedmeta {

/// Counts over all records, never a value.
struct PredictedRecords {
  std::uint64_t rows = 0, scored = 0;
  std::vector<FeatureReport> features = {};  ///< of a table
};

/// Scores every record of a source and writes a CSV file, one line a record in their order:
///
///   row          from 1, header lines not counted
///   ID           the column `id` of a table as it is; only where one is named
///   p(LABEL)     probability of each label, in the order of the model's outputs
///   predicted    the label of the largest
///   problem      why a record could not be scored, "chol: missing"; then the columns before are
///                empty
///
/// Streams: memory does not grow with the records of a table. The file appears whole or not at all.
/// Errors: a source without records (tasks of a formula), and those of OpenRecords and Scorer.
Result<PredictedRecords> PredictToCsv(Scorer& scorer, const OpenedSource& source,
                                      const v1::Dictionary& dictionary, const std::string& id,
                                      const std::filesystem::path& out);

}  // namespace fedmeta
