#include <filesystem>
#include <fstream>
#include <set>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "data_testing.h"
#include "fedmeta/client/data/partition.h"
#include "fedmeta/client/data/source.h"
#include "fedmeta/v1/data.pb.h"
#include "fedmeta/tests/support/temporary_folder.h"

namespace fedmeta {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;

class TextTest : public testing::Test {
 protected:
  void Write(const std::string& content) const { std::ofstream(path_) << content; }
  Result<OpenedSource> Open(std::uint32_t window, std::uint32_t stride = 1,
                            std::uint32_t block = 2000) const {
    v1::TextSettings settings;
    settings.set_path(path_.string());
    settings.set_window(window);
    settings.set_stride(stride);
    settings.set_block(block);
    v1::Plugin plugin;
    plugin.set_name("text");
    plugin.mutable_settings()->PackFrom(settings);
    return OpenSource(BuiltinData(), plugin);
  }
  /// Of example `row`, with the character that follows at the end.
  static std::string Decoded(const Dataset& dataset, std::size_t row) {
    std::vector<float> codes(static_cast<std::size_t>(dataset.example_shape().front()));
    dataset.Read(row, codes);
    codes.push_back(static_cast<float>(dataset.label(row)));
    std::string text;
    for (const float code : codes) {
      text.push_back(code == 0 ? '\n' : static_cast<char>(code + ' ' - 1));
    }
    return text;
  }

  TemporaryFolder folder_;
  const fs::path path_ = folder_.path() / "lines.tsv";
};

TEST_F(TextTest, WindowsOfEachOwnersLinesInTheirOrder) {
  Write("hamlet\tHamlet\tto be\nhamlet\tOphelia\tgood\nhamlet\tHamlet\tor\n");
  const auto source = Open(5, 3);
  ASSERT_TRUE(source.ok()) << source.error().message();
  const Dataset& dataset = *source->dataset;
  EXPECT_THAT(dataset.owners()->names, ElementsAre("hamlet-hamlet", "hamlet-ophelia"));
  // "to be\nor\n" has 9 characters, "good\n" none of 6.
  ASSERT_EQ(dataset.size(), 2U);
  EXPECT_EQ(Decoded(dataset, 0), "to be\n");
  EXPECT_EQ(Decoded(dataset, 1), "be\nor\n");
  EXPECT_THAT(dataset.owners()->of_row, ElementsAre(0U, 0U));
  EXPECT_EQ(dataset.classes(), 97);
}

TEST_F(TextTest, NoWindowReachesIntoAnotherBlock) {
  Write(std::string(100, 'a') + std::string(100, 'b') + "\n");
  const auto source = Open(10, 1, 100);
  const Dataset& dataset = *source->dataset;
  ASSERT_EQ(dataset.groups().size(), dataset.size());
  for (std::size_t row = 0; row < dataset.size(); ++row) {
    const std::string text = Decoded(dataset, row);
    EXPECT_EQ(std::set<char>(text.begin(), text.end()).size(), 1U);
    EXPECT_EQ(dataset.groups()[row], text.front() == 'a' ? 0U : 1U);
  }
  EXPECT_EQ(dataset.size(), 180U);
}

TEST_F(TextTest, NamesThatComeToTheSameStayTwoOwners) {
  Write("a b\tone two\na-b\tthree four\n");
  EXPECT_THAT(Open(3)->dataset->owners()->names, ElementsAre("a-b", "a-b-2"));
}

TEST_F(TextTest, OtherCharactersShareACode) {
  Write("\xc3\xa9t\xc3\xa9 now\n");
  const auto source = Open(2);
  EXPECT_EQ(source->dataset->label(0), 't' - ' ' + 1);
  std::vector<float> codes(2);
  source->dataset->Read(0, codes);
  EXPECT_THAT(codes, ElementsAre(96.0F, 96.0F));
}

TEST_F(TextTest, ClientsAreTheOwnersWithEnoughOrSomeOfThem) {
  std::string lines;
  for (int owner = 0; owner < 8; ++owner) {
    lines += "o" + std::to_string(owner) + "\t" + std::string(owner < 2 ? 3 : 40, 'x') + "\n";
  }
  Write(lines);
  const auto source = Open(4);
  v1::Partition settings;
  settings.set_scheme("column");
  settings.set_clients(0);
  settings.set_minimum_examples(10);
  const auto all = MakePartition(settings, {}, *source, 1);
  ASSERT_TRUE(all.ok()) << all.error().message();
  EXPECT_EQ((*all)->clients(), 6U);
  EXPECT_EQ((*all)->name(0), "o2");
  settings.set_clients(3);
  const auto some = MakePartition(settings, {}, *source, 1);
  EXPECT_EQ((*some)->clients(), 3U);
  EXPECT_EQ((*some)->view(2)->size(), 37U);
  settings.set_clients(7);
  EXPECT_THAT(MakePartition(settings, {}, *source, 1).error().message(),
              HasSubstr("partition.clients is 7, but 6 of the source's 8 owners"));
}

TEST_F(TextTest, ADrawIsCappedAndKeepsBlocksApart) {
  Write(std::string(4000, 'q') + "\n");
  const auto source = Open(10, 1, 100);
  v1::SplitSettings settings;
  settings.set_support_fraction(0.3);
  settings.set_maximum_rows(25);
  v1::Plugin plugin;
  plugin.set_name("split");
  plugin.mutable_settings()->PackFrom(settings);
  const DatasetView view = WholeView(source->dataset);
  const auto tasks = MakeTaskGenerator(BuiltinData(), plugin, *source, &view, "site", 1);
  ASSERT_TRUE(tasks.ok()) << tasks.error().message();
  Rng first({.seed = 1, .purpose = "test"});
  Rng second({.seed = 2, .purpose = "test"});
  const auto one = (*tasks)->Draw(DataPart::kTrain, 0, first);
  const auto other = (*tasks)->Draw(DataPart::kTrain, 0, second);
  EXPECT_EQ(one->support.count, 25U);
  EXPECT_EQ(one->query.count, 25U);
  const auto rows = [](const TaskExamples& task) {
    std::set<std::uint32_t> all;
    for (const auto& each : task.support_rows) all.insert(each.row);
    return all;
  };
  EXPECT_NE(rows(*one), rows(*other));
  for (const std::uint32_t row : rows(*one)) {
    EXPECT_THAT(one->query_groups, testing::Not(testing::Contains(source->dataset->groups()[row])));
  }
}

TEST_F(TextTest, BadInputIsNamed) {
  EXPECT_THAT(Open(5).error().message(), HasSubstr("source.path: no such file"));
  Write("ab\n");
  EXPECT_THAT(Open(5).error().message(), HasSubstr("nobody's text is longer than source.window"));
  EXPECT_THAT(Open(5, 1, 5).error().message(), HasSubstr("source.block must be above"));
  Write("\x1f\x8b damaged");
  EXPECT_THAT(Open(1).error().message(), HasSubstr("damaged or truncated compression"));
}

}  // namespace
}  // namespace fedmeta
