#include "fedmeta/client/data/table_builder.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "fedmeta/client/data/column_reader.h"
#include "fedmeta/client/data/label_reader.h"
#include "fedmeta/client/data/table_dataset.h"
#include "fedmeta/client/data/table_values.h"
#include "fedmeta/core/text.h"
#include "fedmeta/protocol/dictionary.h"

namespace fedmeta {
namespace {

/// Whose record a row is: a number for each combination of the grouping columns' texts.
class GroupReader {
 public:
  GroupReader(const v1::SiteData& site, const std::vector<std::string>& columns,
              std::vector<std::string>& problems) {
    for (const std::string& text : site.missing()) missing_.Add(std::string(TrimCell(text)), 0);
    missing_.Add("", 0);
    for (const std::string& name : site.group()) {
      const auto column = FindColumn(columns, name);
      if (column.ok()) {
        columns_.push_back(*column);
      } else {
        problems.push_back("group: " + column.error().message());
      }
    }
  }

  bool any() const { return !columns_.empty(); }
  std::size_t count() const { return groups_.size(); }
  std::uint64_t bytes() const { return bytes_; }
  /// The person's texts; nothing where one is missing.
  bool Read(const std::vector<std::string_view>& cells, char decimal_mark) {
    key_.clear();
    for (const std::size_t column : columns_) {
      const std::string_view cell = TrimCell(cells[column]);
      if (missing_.Find(cell, decimal_mark)) return false;
      // The length keeps "1", "23" and "12", "3" apart.
      key_ += std::to_string(cell.size()) + ":";
      key_ += cell;
    }
    return true;
  }
  /// The number of the person last read.
  std::uint32_t Number() {
    const auto [entry, added] = groups_.emplace(key_, static_cast<std::uint32_t>(groups_.size()));
    // What a node of the map takes beside its text, roughly.
    constexpr std::uint64_t kNodeBytes = 80;
    if (added) bytes_ += kNodeBytes + key_.size();
    return entry->second;
  }

 private:
  std::vector<std::size_t> columns_;
  CellCodes missing_;
  std::string key_;
  std::unordered_map<std::string, std::uint32_t> groups_;
  std::uint64_t bytes_ = 0;
};

/// Which part a row is for, by the column of site.part.
class PartReader {
 public:
  PartReader(const v1::SiteData& site, const std::vector<std::string>& columns,
             std::vector<std::string>& problems) {
    if (site.part().empty()) return;
    const auto column = FindColumn(columns, site.part());
    if (column.ok()) {
      column_ = *column;
    } else {
      problems.push_back("part: " + column.error().message());
    }
  }

  bool any() const { return column_.has_value(); }
  RowPart Read(const std::vector<std::string_view>& cells) {
    const std::string_view cell = TrimCell(cells[*column_]);
    if (cell.empty()) return RowPart::kAny;
    if (cell == "train") return RowPart::kTrain;
    if (cell == "validation") return RowPart::kValidation;
    if (cell == "test") return RowPart::kTest;
    ++unknown_;
    return RowPart::kAny;
  }
  void Judge(std::vector<std::string>& problems) const {
    if (unknown_ == 0) return;
    problems.push_back("part: " + ShownCount(unknown_) +
                       " rows say something else than train, validation, test or nothing");
  }

 private:
  std::optional<std::size_t> column_;
  std::uint64_t unknown_ = 0;
};

class TableBuilder {
 public:
  TableBuilder(const RawTable& table, const v1::Dictionary& dictionary, RowReader& rows)
      : table_(table),
        dictionary_(dictionary),
        rows_(rows),
        groups_(table.site, rows.columns(), report_.problems),
        parts_(table.site, rows.columns(), report_.problems),
        label_(dictionary.label(), table.site, rows.columns(), rows.decimal_mark(),
               report_.problems),
        values_(
            std::make_shared<TableValues>(static_cast<std::size_t>(dictionary.features_size()))),
        row_(static_cast<std::size_t>(dictionary.features_size())) {
    for (const v1::Feature& feature : dictionary.features()) {
      features_.emplace_back(feature, table.site, rows.columns(), rows.decimal_mark(),
                             report_.problems);
      dropping_.push_back(feature.missing() == "drop_row");
      report_.features.push_back(features_.back().report());
    }
    for (const std::string& level : dictionary.label().levels()) {
      report_.labels.emplace_back(level, 0);
    }
  }

  Result<BuiltTable> Run() {
    // Where columns are missing, the counts would say nothing.
    const bool readable = report_.problems.empty();
    std::vector<std::string_view> cells;
    while (readable) {
      FEDMETA_ASSIGN_OR_RETURN(const bool any, rows_.Next(cells));
      if (!any) break;
      Take(cells);
      if (values_->bytes() + groups_.bytes() > table_.memory_bytes) return TooLarge();
    }
    if (readable) Judge();
    BuiltTable built{.report = std::move(report_), .dataset = nullptr};
    if (built.report.problems.empty()) {
      built.dataset = std::make_shared<const TableDataset>(
          values_, std::make_shared<const v1::Dictionary>(dictionary_), rows_.Fingerprint());
    }
    return built;
  }

 private:
  void Take(const std::vector<std::string_view>& cells) {
    ++report_.rows;
    const bool someone = !groups_.any() || groups_.Read(cells, rows_.decimal_mark());
    const std::optional<std::int32_t> label = label_.Read(cells);
    std::optional<std::size_t> dropped_by;
    for (std::size_t i = 0; i < features_.size(); ++i) {
      row_[i] = features_[i].Read(cells);
      if (std::isnan(row_[i]) && dropping_[i] && !features_[i].absent() && !dropped_by) {
        dropped_by = i;
      }
    }
    if (!someone) {
      ++report_.without_group;
    } else if (!label) {
      ++(label_.outside() ? report_.label_outside : report_.without_label);
    } else if (dropped_by) {
      ++report_.features[*dropped_by].dropped;
    } else {
      values_->Append(row_, *label);
      if (groups_.any()) values_->AppendGroup(groups_.Number());
      if (parts_.any()) values_->AppendPart(parts_.Read(cells));
      ++report_.labels[static_cast<std::size_t>(*label)].second;
      ++report_.used;
    }
  }

  Error TooLarge() const {
    return {ErrorCode::kResourceExhausted,
            "the table needs more memory than resources.memory_mib allows, " +
                std::to_string(table_.memory_bytes >> 20U) + " MiB, after " +
                FormatCount(report_.used) + " rows of " + std::to_string(features_.size()) +
                " features: raise it, or let the table have fewer rows"};
  }

  void Judge() {
    for (std::size_t i = 0; i < features_.size(); ++i) {
      FeatureReport& report = report_.features[i];
      const std::uint64_t dropped = report.dropped;
      report = features_[i].report();
      report.dropped = dropped;
      report.absent = features_[i].absent();
      features_[i].Judge(report_.problems);
      if (report.absent) {
        report_.warnings.push_back("'" + report.name + "' has no column here: it is imputed");
      }
    }
    label_.Judge(report_.problems);
    parts_.Judge(report_.problems);
    report_.groups = groups_.count();
    if (report_.used > std::numeric_limits<std::uint32_t>::max()) {
      report_.problems.push_back("there are more than 4,294,967,295 rows");
    }
    if (report_.used == 0) {
      report_.problems.push_back("no row is left");
      return;
    }
    const auto occurs = std::count_if(report_.labels.begin(), report_.labels.end(),
                                      [](const auto& level) { return level.second > 0; });
    if (occurs == 1) {
      report_.warnings.push_back(
          "all rows have the same label: what is learned here alone knows "
          "nothing else, and ranking figures such as AUC have no meaning");
    }
  }

  const RawTable& table_;
  const v1::Dictionary& dictionary_;
  RowReader& rows_;
  TableReport report_;
  GroupReader groups_;
  PartReader parts_;
  LabelReader label_;
  std::vector<ColumnReader> features_;
  std::vector<bool> dropping_;
  std::shared_ptr<TableValues> values_;
  std::vector<float> row_;
};

}  // namespace

Result<BuiltTable> BuildTable(const RawTable& table, const v1::Dictionary& dictionary) {
  const std::vector<DictionaryProblem> wrong = CheckDictionary(dictionary);
  if (!wrong.empty() || dictionary.features().empty()) {
    return Error(ErrorCode::kInvalidArgument,
                 wrong.empty() ? "a table needs data.features and data.label in the experiment"
                               : "data." + wrong.front().path + " " + wrong.front().message);
  }
  FEDMETA_ASSIGN_OR_RETURN(const std::unique_ptr<RowReader> rows, table.open());
  return TableBuilder(table, dictionary, *rows).Run();
}

Result<std::shared_ptr<const Dataset>> BuildUsableTable(const RawTable& table,
                                                        const v1::Dictionary& dictionary) {
  FEDMETA_ASSIGN_OR_RETURN(BuiltTable built, BuildTable(table, dictionary));
  if (built.dataset) return std::move(built.dataset);
  return Error(ErrorCode::kInvalidArgument, Join(built.report.problems, "; "));
}

}  // namespace fedmeta
