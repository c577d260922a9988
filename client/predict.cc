#include "fedmeta/client/predict.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <fstream>
#include <span>
#include <system_error>

#include "fedmeta/client/data/record_reader.h"

namespace fedmeta {
namespace {

constexpr std::size_t kBlock = 4096;  // records scored at a time

/// With quotes where the text needs them.
std::string CsvCell(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"') quoted += '"';
    quoted += c;
  }
  return quoted + '"';
}

std::string Shortest(float value) {
  std::array<char, 32> text{};
  const auto end = std::to_chars(text.data(), text.data() + text.size(), value);
  return {text.data(), end.ptr};
}

/// Writes beside the place of the file, and moves it there once it is whole.
class CsvFile {
 public:
  explicit CsvFile(std::filesystem::path path)
      : path_(std::move(path)), part_(path_.string() + ".part"), stream_(part_) {}
  ~CsvFile() {
    std::error_code ignored;
    if (!done_) std::filesystem::remove(part_, ignored);
  }
  CsvFile(const CsvFile&) = delete;
  CsvFile& operator=(const CsvFile&) = delete;

  std::ofstream& stream() { return stream_; }
  Status Finish() {
    stream_.close();
    std::error_code failed;
    if (stream_) std::filesystem::rename(part_, path_, failed);
    if (!stream_ || failed) {
      return Error(ErrorCode::kInternal, "cannot write " + path_.string() +
                                             ": is there room, and may this user write there?");
    }
    done_ = true;
    return {};
  }

 private:
  const std::filesystem::path path_, part_;
  std::ofstream stream_;
  bool done_ = false;
};

class Predictor {
 public:
  Predictor(Scorer& scorer, const std::string& id, std::ofstream& stream)
      : scorer_(scorer), id_(id), stream_(stream) {
    stream_ << "row,";
    if (!id_.empty()) stream_ << CsvCell(id_) << ',';
    for (const std::string& label : scorer_.labels()) stream_ << CsvCell("p(" + label + ")") << ',';
    stream_ << "predicted,problem\n";
  }

  Status Add(Record record) {
    values_.insert(values_.end(), record.values.begin(), record.values.end());
    record.values.clear();
    block_.push_back(std::move(record));
    return block_.size() == kBlock ? Flush() : Status();
  }

  Status Flush() {
    if (block_.empty()) return {};
    FEDMETA_ASSIGN_OR_RETURN(const std::vector<float> scores,
                             scorer_.Score(values_, block_.size()));
    const std::size_t outputs = scorer_.labels().size();
    if (scores.size() != block_.size() * outputs) {
      return Error(ErrorCode::kInvalidArgument,
                   "the model gives another number of outputs than "
                   "it has labels");
    }
    for (std::size_t i = 0; i < block_.size(); ++i) {
      Write(block_[i], std::span(scores).subspan(i * outputs, outputs));
    }
    block_.clear();
    values_.clear();
    return {};
  }

  std::uint64_t rows() const { return rows_; }
  std::uint64_t scored() const { return scored_; }

 private:
  void Write(const Record& record, std::span<const float> scores) {
    stream_ << ++rows_ << ',';
    if (!id_.empty()) stream_ << CsvCell(record.id) << ',';
    const bool usable = record.problem.empty() && !std::isnan(scores.front());
    for (const float score : scores) {
      if (usable) stream_ << Shortest(score);
      stream_ << ',';
    }
    if (usable) {
      ++scored_;
      const auto best = std::max_element(scores.begin(), scores.end()) - scores.begin();
      stream_ << CsvCell(scorer_.labels()[static_cast<std::size_t>(best)]) << ",\n";
    } else {
      stream_ << ',' << CsvCell(record.problem.empty() ? "a value is missing" : record.problem)
              << '\n';
    }
  }

  Scorer& scorer_;
  const std::string id_;
  std::ofstream& stream_;
  std::vector<Record> block_;
  std::vector<float> values_;
  std::uint64_t rows_ = 0, scored_ = 0;
};

Status PredictTable(const RawTable& table, const v1::Dictionary& dictionary, const std::string& id,
                    Predictor& predictor, PredictedRecords& counts) {
  FEDMETA_ASSIGN_OR_RETURN(const auto records, OpenRecords(table, dictionary, id));
  for (;;) {
    Record record;
    FEDMETA_ASSIGN_OR_RETURN(const bool any, records->Next(record));
    if (!any) break;
    FEDMETA_RETURN_IF_ERROR(predictor.Add(std::move(record)));
  }
  counts.features = records->Report();
  return predictor.Flush();
}

Status PredictExamples(const Dataset& dataset, Predictor& predictor) {
  std::size_t width = 1;
  for (const std::int64_t extent : dataset.example_shape())
    width *= static_cast<std::size_t>(extent);
  for (std::size_t row = 0; row < dataset.size(); ++row) {
    Record record;
    record.values.resize(width);
    dataset.Read(row, record.values);
    FEDMETA_RETURN_IF_ERROR(predictor.Add(std::move(record)));
  }
  return predictor.Flush();
}

}  // namespace

Result<PredictedRecords> PredictToCsv(Scorer& scorer, const OpenedSource& source,
                                      const v1::Dictionary& dictionary, const std::string& id,
                                      const std::filesystem::path& out) {
  const auto refused = [](const std::string& why) {
    return Error(ErrorCode::kInvalidArgument, why);
  };
  const bool tabular = !dictionary.features().empty();
  if (scorer.labels().empty()) return refused("this model predicts no labels: it is a regression");
  if (tabular && !source.table) {
    return refused(
        "this model reads the columns of a table, and this source has none; use csv or "
        "command");
  }
  if (!tabular && !source.dataset) return refused("this source has no examples that are scored");
  if (!tabular && !id.empty()) return refused("--id names a column, and this source has none");
  CsvFile file(out);
  Predictor predictor(scorer, id, file.stream());
  PredictedRecords counts;
  FEDMETA_RETURN_IF_ERROR(tabular ? PredictTable(*source.table, dictionary, id, predictor, counts)
                                  : PredictExamples(*source.dataset, predictor));
  FEDMETA_RETURN_IF_ERROR(file.Finish());
  counts.rows = predictor.rows();
  counts.scored = predictor.scored();
  return counts;
}

}  // namespace fedmeta
