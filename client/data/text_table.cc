// Sources csv and command: text tables, from a file and from a program.
#include <memory>
#include <string>
#include <utility>

#include "fedmeta/client/data/command_stream.h"
#include "fedmeta/client/data/csv_reader.h"
#include "fedmeta/client/data/factories.h"
#include "fedmeta/client/data/raw_table.h"

namespace fedmeta {
namespace {

Error Refuse(const std::string& why) { return {ErrorCode::kInvalidArgument, why}; }

Result<char> DelimiterOf(const std::string& name) {
  if (name == "comma" || name.empty()) return ',';
  if (name == "semicolon") return ';';
  if (name == "tab") return '\t';
  if (name == "pipe") return '|';
  if (name == "space") return ' ';
  return Refuse("source.delimiter '" + name + "' is unknown");
}

/// The keys that csv and command share.
template <typename Settings>
Result<CsvFormat> FormatOf(const Settings& settings) {
  CsvFormat format;
  FEDMETA_ASSIGN_OR_RETURN(format.delimiter, DelimiterOf(settings.delimiter()));
  if (settings.quote() == "single") format.quote = '\'';
  if (settings.quote() == "none") format.quote = 0;
  format.latin1 = settings.encoding() == "latin-1";
  format.decimal_mark = settings.decimal() == "comma" ? ',' : '.';
  format.header = !settings.has_header() || settings.header();
  format.column_names = {settings.column_names().begin(), settings.column_names().end()};
  if (format.header && !format.column_names.empty()) {
    return Refuse("source.column_names are read with source.header false only; remove one of both");
  }
  return format;
}

OpenedSource TableSource(RawTable table) {
  OpenedSource opened;
  opened.table = std::make_shared<const RawTable>(std::move(table));
  return opened;
}

}  // namespace

Result<OpenedSource> OpenCsv(const v1::CsvSettings& settings) {
  FEDMETA_ASSIGN_OR_RETURN(const CsvFormat format, FormatOf(settings));
  const std::string path = settings.path();
  // Said now, and not only when an experiment comes.
  FEDMETA_ASSIGN_OR_RETURN(const auto readable, OpenFileStream(path));
  RawTable table;
  table.open = [path, format]() -> Result<std::unique_ptr<RowReader>> {
    FEDMETA_ASSIGN_OR_RETURN(auto stream, OpenFileStream(path));
    return MakeCsvReader(std::move(stream), format);
  };
  table.stamp = [path] { return StampOfFile(path); };
  return TableSource(std::move(table));
}

Result<OpenedSource> OpenCommand(const v1::CommandSettings& settings) {
  FEDMETA_ASSIGN_OR_RETURN(const CsvFormat format, FormatOf(settings));
  if (settings.argv().empty()) return Refuse("source.argv must name a program");
  constexpr std::int64_t kMillisecondsPerSecond = 1000;
  const CommandOptions options = {
      .argv = {settings.argv().begin(), settings.argv().end()},
      .working_directory =
          settings.working_directory().empty() ? "." : settings.working_directory(),
      .timeout = settings.has_timeout()
                     ? Duration(settings.timeout().seconds() * kMillisecondsPerSecond +
                                settings.timeout().nanos() / 1'000'000)
                     : std::chrono::minutes(10),
      .output_bytes = std::uint64_t{settings.output_mib() == 0 ? 65536 : settings.output_mib()}
                      << 20U};
  RawTable table;
  table.open = [options, format]() -> Result<std::unique_ptr<RowReader>> {
    FEDMETA_ASSIGN_OR_RETURN(auto stream, StartCommand(options));
    return MakeCsvReader(std::move(stream), format);
  };
  table.stamp = [] { return std::string(); };
  return TableSource(std::move(table));
}

}  // namespace fedmeta
