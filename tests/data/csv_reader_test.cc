#include "table_testing.h"
#include <gmock/gmock.h>

namespace fedmeta {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

/// Header and rows, cells joined by '|'; or "error: ...".
std::vector<std::string> Rows(const std::string& text, const CsvFormat& format = {},
                              std::size_t piece = 1 << 20) {
  const auto reader = MakeCsvReader(std::make_unique<TextStream>(text, piece), format);
  if (!reader.ok()) return {"error: " + reader.error().message()};
  std::vector<std::string> rows;
  const auto add = [&](const auto& cells) {
    std::string row;
    for (const auto& cell : cells) row += std::string(cell) + "|";
    rows.push_back(row);
  };
  add((*reader)->columns());
  std::vector<std::string_view> cells;
  for (;;) {
    const Result<bool> any = (*reader)->Next(cells);
    if (!any.ok()) {
      rows.push_back("error: " + any.error().message());
      return rows;
    }
    if (!*any) return rows;
    add(cells);
  }
}

TEST(CsvReaderTest, ReadsCellsWithAndWithoutALastLineEnd) {
  EXPECT_THAT(Rows("a,b\n1,2\n3,\n"), ElementsAre("a|b|", "1|2|", "3||"));
  EXPECT_THAT(Rows("a,b\r\n1,2\r\n3,4"), ElementsAre("a|b|", "1|2|", "3|4|"));
}
TEST(CsvReaderTest, QuotesHoldDelimitersLineEndsAndQuotes) {
  EXPECT_THAT(Rows("a,b\n\"1,\"\"x\"\"\n2\",\"\"\r\n"), ElementsAre("a|b|", "1,\"x\"\n2||"));
}
TEST(CsvReaderTest, DoesNotDependOnHowTheBytesArrive) {
  const std::string text = "\xef\xbb\xbf\"a\",b\r\n\"x\"\"y\",\"\xc3\xa9\"\r\n\r\n1,2\n";
  const auto whole = Rows(text);
  EXPECT_THAT(whole, ElementsAre("a|b|", "x\"y|\xc3\xa9|", "1|2|"));
  for (std::size_t piece = 1; piece <= 5; ++piece) EXPECT_EQ(Rows(text, {}, piece), whole) << piece;
}
TEST(CsvReaderTest, OtherDelimitersAndQuotes) {
  EXPECT_THAT(Rows("a;b\n'x;y';2\n", {.delimiter = ';', .quote = '\''}),
              ElementsAre("a|b|", "x;y|2|"));
  EXPECT_THAT(Rows("a\tb\n\"x\t2\n", {.delimiter = '\t', .quote = 0}),
              ElementsAre("a|b|", "\"x|2|"));
}
TEST(CsvReaderTest, Latin1BecomesUtf8) {
  EXPECT_THAT(Rows("a\nM\xfcller\n", {.latin1 = true}), ElementsAre("a|", "M\xc3\xbcller|"));
}
TEST(CsvReaderTest, WithoutAHeaderColumnsAreNumberedOrNamed) {
  EXPECT_THAT(Rows("1,2\n3,4\n", {.header = false}), ElementsAre("1|2|", "1|2|", "3|4|"));
  EXPECT_THAT(Rows("1,2\n", {.header = false, .column_names = {"x", "y"}}),
              ElementsAre("x|y|", "1|2|"));
}
TEST(CsvReaderTest, RefusesWhatIsNoTableWithoutShowingIt) {
  EXPECT_THAT(Rows(""), ElementsAre("error: there is no row"));
  EXPECT_THAT(Rows("a,b\n1,2,secret\n").back(),
              HasSubstr("a row has 3 cells where there are 2 columns: check source.delimiter"));
  EXPECT_THAT(Rows("a\n\"secret\n").back(), HasSubstr("a quoted cell does not end"));
  EXPECT_THAT(Rows("a,b\n\"secret\"x,2\n").back(), HasSubstr("text follows the end of a quoted"));
  EXPECT_THAT(Rows("a\nM\xfcller\n").back(), HasSubstr("not UTF-8: set source.encoding latin-1"));
  EXPECT_THAT(Rows(std::string("a\n1\0", 4)).back(), HasSubstr("zero bytes"));
  EXPECT_THAT(Rows("a\n\"" + std::string((16U << 20U) + 1, 'x')).back(),
              HasSubstr("longer than 16 MiB"));
}
TEST(CsvReaderTest, TheFingerprintIsOverTheBytes) {
  const auto of = [](const std::string& text) {
    const auto reader = MakeCsvReader(std::make_unique<TextStream>(text, 3), {});
    std::vector<std::string_view> cells;
    while (*(*reader)->Next(cells)) {
    }
    return (*reader)->Fingerprint();
  };
  EXPECT_EQ(of("a\n1\n"), Digest::Of("a\n1\n"));
  EXPECT_NE(of("a\n1\n"), of("a\n1\n\n"));
}

TEST(CsvSourceTest, AFileThatChangesWhileItIsReadIsNoticed) {
  const TemporaryFolder folder;
  const std::string path = (folder.path() / "t.csv").string();
  // More than one piece of the reader, so that the file is still open when it changes.
  {
    std::ofstream file(path);
    file << "chol\n";
    for (int i = 0; i < 400'000; ++i) file << "1\n";
  }
  v1::CsvSettings settings;
  settings.set_path(path);
  const auto source = OpenSource(BuiltinData(), PluginOf("csv", settings));
  ASSERT_TRUE(source.ok()) << source.error().message();
  const std::string stamp = source->table->stamp();
  auto reader = source->table->open();
  ASSERT_TRUE(reader.ok());
  std::vector<std::string_view> cells;
  ASSERT_TRUE((*reader)->Next(cells).ok());
  std::ofstream(path, std::ios::app) << "2\n";
  EXPECT_NE(source->table->stamp(), stamp);
  Result<bool> any = true;
  while (any.ok() && *any) any = (*reader)->Next(cells);
  ASSERT_FALSE(any.ok());
  EXPECT_THAT(any.error().message(), HasSubstr("changed while it was read"));
  EXPECT_THAT(any.error().message(), ::testing::Not(HasSubstr("t.csv")));
}
TEST(CsvSourceTest, AMissingFileIsSaidAtOnceWithoutItsName) {
  v1::CsvSettings settings;
  settings.set_path("/nowhere/secret.csv");
  const auto source = OpenSource(BuiltinData(), PluginOf("csv", settings));
  ASSERT_FALSE(source.ok());
  EXPECT_EQ(source.error().code(), ErrorCode::kNotFound);
  EXPECT_THAT(source.error().message(), ::testing::Not(HasSubstr("secret")));
}
TEST(CsvSourceTest, RefusesColumnNamesBesideAHeader) {
  v1::CsvSettings settings;
  settings.set_path("/dev/null");
  settings.add_column_names("a");
  const auto source = OpenSource(BuiltinData(), PluginOf("csv", settings));
  ASSERT_FALSE(source.ok());
  EXPECT_THAT(source.error().message(), HasSubstr("source.header false only"));
}

}  // namespace
}  // namespace fedmeta
