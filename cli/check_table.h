#pragma once

#include <memory>
#include <string>

#include "fedmeta/cli/findings.h"
#include "fedmeta/client/data/dataset.h"
#include "fedmeta/client/data/raw_table.h"
#include "fedmeta/client/data/table_report.h"
#include "fedmeta/v1/dictionary.pb.h"

namespace fedmeta {

/// Reads a table as an experiment would and says what it would use: rows used and left out and why,
/// label balance, and by feature what is missing, outside its range or unknown. Counts below ten
/// are "<10", and no value is named. The dataset, or null where there are problems.
std::shared_ptr<const Dataset> CheckTable(const RawTable& table, const v1::Dictionary& dictionary,
                                          const std::string& label, Findings& findings);

/// How a table was read, for scripts and in one line for people: "303 rows, 290 (96 %) used; left
/// out: 13 for chol".
Findings::Json TableJson(const TableReport& report);
std::string TableText(const TableReport& report);

/// Without an experiment: whether the table can be read, and how large it is.
void CountTable(const RawTable& table, const std::string& label, Findings& findings);

}  // namespace fedmeta
