#include "fedmeta/client/data/csv_reader.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <utility>

#include "fedmeta/core/bytes.h"

namespace fedmeta {
namespace {

constexpr std::size_t kChunkBytes = std::size_t{1} << 18;
constexpr std::size_t kLongestRowBytes = std::size_t{16} << 20;

Error Refuse(const std::string& why) { return {ErrorCode::kInvalidArgument, why}; }

/// Well-formed by RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF.
bool IsUtf8(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  for (std::size_t i = 0; i < text.size();) {
    const unsigned char first = byte(i);
    if (first < 0x80) {
      ++i;
      continue;
    }
    const std::size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
    if (first < 0xc2 || first > 0xf4 || i + length > text.size()) return false;
    for (std::size_t j = 1; j < length; ++j) {
      if ((byte(i + j) & 0xc0U) != 0x80U) return false;
    }
    const unsigned char second = byte(i + 1);
    if ((first == 0xe0 && second < 0xa0) || (first == 0xed && second > 0x9f) ||
        (first == 0xf0 && second < 0x90) || (first == 0xf4 && second > 0x8f)) {
      return false;
    }
    i += length;
  }
  return true;
}

class CsvReader final : public RowReader {
 public:
  CsvReader(std::unique_ptr<ByteStream> stream, CsvFormat format)
      : stream_(std::move(stream)), format_(std::move(format)), buffer_(kChunkBytes) {}

  Status ReadHeader() {
    constexpr std::string_view kMark = "\xef\xbb\xbf";
    FEDMETA_RETURN_IF_ERROR(Fill(kMark.size()));
    if (std::string_view(buffer_.data(), end_).starts_with(kMark)) at_ = kMark.size();
    FEDMETA_ASSIGN_OR_RETURN(const bool any, ReadRow());
    if (!any) return Refuse("there is no row");
    const std::size_t cells = ends_.size();
    if (format_.header) {
      for (std::size_t i = 0; i < cells; ++i) columns_.emplace_back(Trimmed(Cell(i)));
      return {};
    }
    held_ = true;
    columns_ = format_.column_names;
    for (std::size_t i = columns_.size(); format_.column_names.empty() && i < cells; ++i) {
      columns_.push_back(std::to_string(i + 1));
    }
    return {};
  }

  const std::vector<std::string>& columns() const override { return columns_; }

  Result<bool> Next(std::vector<std::string_view>& cells) override {
    if (held_) {
      held_ = false;
    } else {
      FEDMETA_ASSIGN_OR_RETURN(const bool any, ReadRow());
      if (!any) return false;
    }
    if (ends_.size() != columns_.size()) {
      return Refuse("a row has " + std::to_string(ends_.size()) + " cells where there are " +
                    std::to_string(columns_.size()) +
                    " columns: check source.delimiter, source.quote and source.column_names");
    }
    cells.resize(ends_.size());
    for (std::size_t i = 0; i < cells.size(); ++i) cells[i] = Cell(i);
    return true;
  }

  char decimal_mark() const override { return format_.decimal_mark; }
  Digest Fingerprint() override { return digest_.Finish(); }

 private:
  static std::string_view Trimmed(std::string_view text) {
    while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
    while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
    return text;
  }

  std::string_view Cell(std::size_t index) const {
    const std::size_t from = index == 0 ? 0 : ends_[index - 1];
    return std::string_view(row_).substr(from, ends_[index] - from);
  }

  /// At least `least` bytes while there are any: a pipe hands out as few as it likes.
  Status Fill(std::size_t least = 1) {
    at_ = 0;
    end_ = 0;
    while (end_ < least) {
      FEDMETA_ASSIGN_OR_RETURN(const std::size_t got,
                               stream_->Read(std::span(buffer_).subspan(end_)));
      if (got == 0) break;
      end_ += got;
    }
    digest_.Add(AsBytes(std::string_view(buffer_.data(), end_)));
    return {};
  }

  /// False at the end of the stream.
  Result<bool> More() {
    if (at_ < end_) return true;
    if (finished_) return false;
    FEDMETA_RETURN_IF_ERROR(Fill());
    finished_ = end_ == 0;
    return !finished_;
  }

  Status Append(const char* from, const char* to) {
    if (row_.size() + static_cast<std::size_t>(to - from) > kLongestRowBytes) {
      return Refuse("a row is longer than 16 MiB: check source.quote, and whether this is a table");
    }
    for (const char* c = from; c != to; ++c) {
      if (*c == '\0') return Refuse("the table holds zero bytes: it is no text");
      beyond_ascii_ = beyond_ascii_ || static_cast<unsigned char>(*c) >= 0x80;
    }
    if (!format_.latin1) {
      row_.append(from, to);
      return {};
    }
    for (const char* c = from; c != to; ++c) {
      const auto code = static_cast<unsigned char>(*c);
      if (code < 0x80) {
        row_.push_back(*c);
      } else {
        row_.push_back(static_cast<char>(0xc0U | (code >> 6U)));
        row_.push_back(static_cast<char>(0x80U | (code & 0x3fU)));
      }
    }
    return {};
  }

  /// The rest of a quoted cell, behind its first quote.
  Status ReadQuoted() {
    for (;;) {
      FEDMETA_ASSIGN_OR_RETURN(const bool more, More());
      if (!more) return Refuse("a quoted cell does not end: check source.quote");
      const char* from = buffer_.data() + at_;
      const char* to = buffer_.data() + end_;
      const char* quote = std::find(from, to, format_.quote);
      FEDMETA_RETURN_IF_ERROR(Append(from, quote));
      at_ += static_cast<std::size_t>(quote - from);
      if (quote == to) continue;
      ++at_;
      FEDMETA_ASSIGN_OR_RETURN(const bool behind, More());
      if (!behind || buffer_[at_] != format_.quote) return {};
      FEDMETA_RETURN_IF_ERROR(Append(&buffer_[at_], &buffer_[at_] + 1));
      ++at_;
    }
  }

  /// One row into row_ and ends_; false when there is no further one.
  Result<bool> ReadRow() {
    for (;;) {
      row_.clear();
      ends_.clear();
      beyond_ascii_ = false;
      FEDMETA_ASSIGN_OR_RETURN(const bool more, More());
      if (!more) return false;
      bool quoted = false;  // this cell
      bool line = true;
      while (line) {
        FEDMETA_ASSIGN_OR_RETURN(const bool behind, More());
        if (!behind) break;
        const char* from = buffer_.data() + at_;
        const char* to = buffer_.data() + end_;
        const std::size_t start = ends_.empty() ? 0 : ends_.back();
        if (format_.quote != 0 && *from == format_.quote && row_.size() == start && !quoted) {
          ++at_;
          FEDMETA_RETURN_IF_ERROR(ReadQuoted());
          quoted = true;
          continue;
        }
        const char* stop =
            std::find_if(from, to, [&](char c) { return c == format_.delimiter || c == '\n'; });
        if (quoted && !(stop == from || (stop == from + 1 && *from == '\r'))) {
          return Refuse("text follows the end of a quoted cell: check source.quote");
        }
        if (!quoted) FEDMETA_RETURN_IF_ERROR(Append(from, stop));
        at_ += static_cast<std::size_t>(stop - from);
        if (stop == to) continue;
        ++at_;
        line = *stop != '\n';
        if (!line && !quoted && row_.size() > start && row_.back() == '\r') row_.pop_back();
        if (line) {
          ends_.push_back(row_.size());
          quoted = false;
        }
      }
      if (line && !row_.empty() && row_.back() == '\r' && !quoted) row_.pop_back();
      ends_.push_back(row_.size());
      if (ends_.size() == 1 && row_.empty() && !quoted) continue;
      if (beyond_ascii_ && !format_.latin1 && !IsUtf8(row_)) {
        return Refuse("the table is not UTF-8: set source.encoding latin-1, or convert it");
      }
      return true;
    }
  }

  std::unique_ptr<ByteStream> stream_;
  const CsvFormat format_;
  std::vector<std::string> columns_;
  std::vector<char> buffer_;
  std::size_t at_ = 0;
  std::size_t end_ = 0;
  bool finished_ = false;
  std::string row_;                // the cells without quotes and delimiters
  std::vector<std::size_t> ends_;  // of the cells in row_
  bool beyond_ascii_ = false;
  bool held_ = false;  // the first row, read for its number of cells
  DigestBuilder digest_;
};

}  // namespace

Result<std::unique_ptr<RowReader>> MakeCsvReader(std::unique_ptr<ByteStream> stream,
                                                 CsvFormat format) {
  auto reader = std::make_unique<CsvReader>(std::move(stream), std::move(format));
  FEDMETA_RETURN_IF_ERROR(reader->ReadHeader());
  return std::unique_ptr<RowReader>(std::move(reader));
}

}  // namespace fedmeta
