#include "fedmeta/client/data/record_reader.h"

#include <cstddef>
#include <optional>
#include <string_view>
#include <utility>

#include "fedmeta/client/data/column_reader.h"
#include "fedmeta/core/text.h"
#include "fedmeta/protocol/dictionary.h"

namespace fedmeta {
namespace {

/// Why nothing can stand in for a value of this state; empty: the feature's rule says what does.
std::string WhyNot(const v1::Feature& feature, CellState state) {
  const bool needed = feature.missing() == "refuse" || feature.missing() == "drop_row";
  switch (state) {
    case CellState::kMissing:
      return needed ? "missing" : "";
    case CellState::kOutside:
      return needed ? "out of range" : "";
    case CellState::kUnknown:
      return needed || feature.unknown() != "missing" ? "unknown level" : "";
    case CellState::kUnreadable:
      return "no number";
    default:
      return "";
  }
}

class TableRecords final : public RecordReader {
 public:
  TableRecords(std::unique_ptr<RowReader> rows, const RawTable& table,
               const v1::Dictionary& dictionary, const std::string& id,
               std::vector<std::string>& problems)
      : rows_(std::move(rows)), dictionary_(dictionary) {
    const std::vector<std::string>& columns = rows_->columns();
    for (const v1::Feature& feature : dictionary.features()) {
      features_.emplace_back(feature, table.site, columns, rows_->decimal_mark(), problems);
    }
    if (id.empty()) return;
    const Result<std::size_t> column = FindColumn(columns, id);
    if (column.ok()) {
      id_ = *column;
    } else {
      problems.push_back("--id: " + column.error().message());
    }
  }

  Result<bool> Next(Record& record) override {
    FEDMETA_ASSIGN_OR_RETURN(const bool any, rows_->Next(cells_));
    if (!any) return false;
    record.values.resize(features_.size());
    record.problem.clear();
    for (std::size_t i = 0; i < features_.size(); ++i) {
      const v1::Feature& feature = dictionary_.features(static_cast<int>(i));
      record.values[i] = features_[i].Read(cells_);
      const std::string why = WhyNot(feature, features_[i].state());
      if (why.empty()) continue;
      if (!record.problem.empty()) record.problem += "; ";
      record.problem += feature.name() + ": " + why;
    }
    record.id = id_ ? std::string(cells_[*id_]) : std::string();
    return true;
  }

  std::vector<FeatureReport> Report() const override {
    std::vector<FeatureReport> report;
    for (const ColumnReader& feature : features_) {
      report.push_back(feature.report());
      report.back().absent = feature.absent();
    }
    return report;
  }

 private:
  std::unique_ptr<RowReader> rows_;
  v1::Dictionary dictionary_;
  std::vector<ColumnReader> features_;
  std::optional<std::size_t> id_;
  std::vector<std::string_view> cells_;
};

}  // namespace

Result<std::unique_ptr<RecordReader>> OpenRecords(const RawTable& table,
                                                  const v1::Dictionary& dictionary,
                                                  const std::string& id) {
  const std::vector<DictionaryProblem> wrong = CheckDictionary(dictionary);
  if (!wrong.empty()) {
    return Error(ErrorCode::kInvalidArgument,
                 "data." + wrong.front().path + " " + wrong.front().message);
  }
  FEDMETA_ASSIGN_OR_RETURN(std::unique_ptr<RowReader> rows, table.open());
  std::vector<std::string> problems;
  auto records = std::make_unique<TableRecords>(std::move(rows), table, dictionary, id, problems);
  if (!problems.empty()) return Error(ErrorCode::kInvalidArgument, Join(problems, "; "));
  return std::unique_ptr<RecordReader>(std::move(records));
}

}  // namespace fedmeta
