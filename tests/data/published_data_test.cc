#include <filesystem>
#include <set>
#include <vector>

#include "data_testing.h"
#include <gtest/gtest.h>

#include "fedmeta/client/data/partition.h"

namespace fedmeta {
namespace {

const char* const kFashion = "/usr/share/datasets/fashion-mnist";

v1::Plugin Idx(const std::filesystem::path& folder, const std::string& part) {
  v1::IdxSettings settings;
  settings.set_path(folder.string());
  settings.set_part(part);
  settings.set_normalize(true);
  return PluginOf("idx", settings);
}

void ExpectCounts(const v1::Plugin& choice, std::size_t classes, std::size_t each) {
  const auto source = OpenSource(BuiltinData(), choice);
  ASSERT_TRUE(source.ok()) << source.error().message();
  const Dataset& table = *source->dataset;
  EXPECT_EQ(table.example_shape(), (std::vector<std::int64_t>{1, 28, 28}));
  ASSERT_EQ(table.size(), classes * each);
  ASSERT_EQ(table.classes(), static_cast<std::int64_t>(classes));
  std::vector<std::size_t> count(classes, 0);
  for (std::size_t row = 0; row < table.size(); ++row) {
    ++count[static_cast<std::size_t>(table.label(row))];
  }
  for (std::size_t c = 0; c < classes; ++c) EXPECT_EQ(count[c], each) << c;
}

class OmniglotTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!std::filesystem::exists(folder_)) {
      GTEST_SKIP() << "Omniglot is not under FEDMETA_DATA; see examples/fetch-data.sh";
    }
  }
  const std::filesystem::path folder_ = DataRoot() / "omniglot";
};

class FashionTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!std::filesystem::exists(kFashion)) {
      GTEST_SKIP() << "package dataset-fashion-mnist is not installed";
    }
  }
};

TEST_F(OmniglotTest, Has1623ClassesOfTwenty) { ExpectCounts(Idx(folder_, "omniglot28"), 1623, 20); }

TEST_F(OmniglotTest, PublishedListsDivideTheClasses) {
  const auto source = OpenSource(BuiltinData(), Idx(folder_, "omniglot28"));
  ASSERT_TRUE(source.ok()) << source.error().message();
  v1::Partition settings;
  settings.set_scheme("shared");
  settings.set_clients(3);
  settings.set_validation_clients(1);
  settings.set_holdout_clients(1);
  settings.set_class_split("vinyals");
  settings.set_split_dir((folder_ / "splits_vinyals").string());
  const auto partition =
      MakePartition(settings, PluginOf("episodic", Episodic(5, 1, 5)), *source, 1);
  ASSERT_TRUE(partition.ok()) << partition.error().message();
  // 1,028 + 172 + 423 characters of 20 drawings.
  EXPECT_EQ((*partition)->view(0)->size(), 1028U * 20);
  EXPECT_EQ((*partition)->view(1)->size(), 172U * 20);
  EXPECT_EQ((*partition)->view(2)->size(), 423U * 20);
}

TEST_F(FashionTest, Has6000TrainingImagesAClass) { ExpectCounts(Idx(kFashion, "train"), 10, 6000); }

TEST_F(FashionTest, Has1000TestImagesAClass) { ExpectCounts(Idx(kFashion, "t10k"), 10, 1000); }

}  // namespace
}  // namespace fedmeta
