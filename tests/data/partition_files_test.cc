#include <algorithm>
#include <cstdint>
#include <string>

#include "data_testing.h"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fedmeta/client/data/idx_file.h"
#include "fedmeta/client/data/partition.h"
#include "fedmeta/core/file.h"

namespace fedmeta {
namespace {

using ::testing::HasSubstr;

// A table of 6 classes x 20 images of 3 x 3 pixels.
void WriteTable(const std::filesystem::path& folder) {
  IdxFile images{.type = IdxType::kUnsignedByte, .extents = {120, 3, 3}, .bytes = {}};
  IdxFile labels{.type = IdxType::kUnsignedByte, .extents = {120}, .bytes = {}};
  Rng rng = TestRng();
  for (unsigned row = 0; row < 120; ++row) {
    for (int pixel = 0; pixel < 9; ++pixel) {
      images.bytes.push_back(static_cast<std::uint8_t>(rng.Below(256)));
    }
    labels.bytes.push_back(static_cast<std::uint8_t>(row % 6));
  }
  ASSERT_TRUE(WriteFileAtomically(folder / "train-images-idx3-ubyte", EncodeIdx(images)).ok());
  ASSERT_TRUE(WriteFileAtomically(folder / "train-labels-idx1-ubyte", EncodeIdx(labels)).ok());
}

v1::Plugin IdxAt(const std::filesystem::path& folder, const std::string& part, bool normalize) {
  v1::IdxSettings settings;
  settings.set_path(folder.string());
  settings.set_part(part);
  settings.set_normalize(normalize);
  return PluginOf("idx", settings);
}

class PartitionFilesTest : public ::testing::Test {
 protected:
  void Write(const std::string& labels, bool normalize) {
    WriteTable(folder_.path());
    experiment_.mutable_data()->set_name("letters");
    *experiment_.mutable_data()->mutable_source() = IdxAt(folder_.path(), "train", normalize);
    auto opened = OpenSource(registry_, experiment_.data().source());
    ASSERT_TRUE(opened.ok()) << opened.error().message();
    source_ = std::move(opened).value();
    v1::Partition settings;
    settings.set_scheme("classes");
    settings.set_clients(4);
    settings.set_holdout_clients(1);
    settings.set_classes_per_client(3);
    settings.set_examples_per_class(8);
    settings.set_labels(labels);
    auto made = MakePartition(settings, PluginOf("episodic", Episodic(2, 1, 2)), source_, 9);
    ASSERT_TRUE(made.ok()) << made.error().message();
    partition_ = std::move(made).value();
    const Status written =
        WritePartition(experiment_, source_, *partition_, "localhost:8443", Sites().string());
    ASSERT_TRUE(written.ok()) << written.error().message();
  }
  std::filesystem::path Sites() const { return folder_.path() / "sites"; }

  // Both sides of every client draw the same bits.
  void ExpectSameTasks(const v1::Plugin& tasks, bool normalize) {
    for (std::size_t client = 0; client < partition_->clients(); ++client) {
      const std::string name = partition_->name(client);
      const Result<DatasetView> view = partition_->view(client);
      ASSERT_TRUE(view.ok());
      const auto files = OpenSource(registry_, IdxAt(Sites() / name, "site", normalize));
      ASSERT_TRUE(files.ok()) << files.error().message();
      auto simulated = MakeTaskGenerator(registry_, tasks, source_, &*view, name, 9);
      auto live = MakeTaskGenerator(registry_, tasks, *files, nullptr, name, 9);
      ASSERT_TRUE(simulated.ok() && live.ok());
      for (std::uint64_t round = 0; round < 5; ++round) {
        Rng one = TestRng(round);
        Rng two = TestRng(round);
        const auto a = (*simulated)->Draw(DataPart::kTrain, 0, one);
        const auto b = (*live)->Draw(DataPart::kTrain, 0, two);
        ASSERT_TRUE(a.ok() && b.ok());
        EXPECT_EQ(a->support.inputs, b->support.inputs);
        EXPECT_EQ(a->support.labels, b->support.labels);
        EXPECT_EQ(a->query.inputs, b->query.inputs);
        EXPECT_EQ(a->query.labels, b->query.labels);
      }
      Rng rng = TestRng();
      const auto all = (*simulated)->TrainingExamples(rng);
      const auto all_live = (*live)->TrainingExamples(rng);
      ASSERT_TRUE(all.ok() && all_live.ok());
      EXPECT_EQ(all->inputs, all_live->inputs);
      EXPECT_EQ(all->labels, all_live->labels);
    }
  }

  static v1::Plugin SplitTasks() {
    v1::SplitSettings settings;
    settings.set_support_fraction(0.3);
    settings.set_validation_fraction(0.2);
    return PluginOf("split", settings);
  }

  TemporaryFolder folder_;
  DataRegistry registry_ = BuiltinData();
  v1::Experiment experiment_;
  OpenedSource source_;
  std::unique_ptr<Partition> partition_;
};

TEST_F(PartitionFilesTest, EpisodesOfTheFilesAreThoseOfTheSimulation) {
  Write("own", true);
  ExpectSameTasks(PluginOf("episodic", Episodic(2, 1, 2, "random")), true);
}

TEST_F(PartitionFilesTest, EpisodesUnderSharedLabelsAreThoseOfTheSimulation) {
  Write("shared", false);
  ExpectSameTasks(PluginOf("episodic", Episodic(2, 1, 2)), false);
}

TEST_F(PartitionFilesTest, SplitsOfTheFilesAreThoseOfTheSimulation) {
  Write("own", true);
  ExpectSameTasks(SplitTasks(), true);
}

TEST_F(PartitionFilesTest, ClientFilesNameCoordinatorIdentityAndRole) {
  Write("own", false);
  const Result<std::string> yaml = ReadFile(Sites() / "site-4" / "client.yaml");
  ASSERT_TRUE(yaml.ok());
  EXPECT_EQ(*yaml,
            "# site-4. Paths are relative to this file; identities: fedmeta pki.\n"
            "coordinator: {address: \"localhost:8443\"}\n"
            "identity:\n"
            "  certificate: \"../pki/site-4/site-4.pem\"\n"
            "  key: \"../pki/site-4/site-4.key\"\n"
            "  trust: \"../pki/authority/authority.pem\"\n"
            "  revocation_list: \"../pki/authority/denylist.pem\"\n"
            "state_dir: \"state\"\n"
            "policy: {approve: any, minimum_cohort: 1}   # a demonstration: a real site approves\n"
            "data:\n"
            "  \"letters\":\n"
            "    source: {name: idx, path: \".\", part: site, normalize: false}\n"
            "    role: holdout\n");
}

TEST_F(PartitionFilesTest, SitesOfARobustExperimentLetTheirUpdatesBeLookedAt) {
  experiment_.mutable_privacy()->mutable_secure_aggregation()->set_mode("plain_robust");
  Write("own", false);
  EXPECT_THAT(
      ReadFile(Sites() / "site-4" / "client.yaml").value(),
      HasSubstr("policy: {approve: any, minimum_cohort: 1, allow: {individual_updates: true}}"));
}

TEST_F(PartitionFilesTest, RefusesSourcesThatAreNoImages) {
  Write("own", true);
  experiment_.mutable_data()->mutable_source()->set_name("sinusoid");
  const Status written =
      WritePartition(experiment_, source_, *partition_, "localhost:1", Sites().string());
  ASSERT_FALSE(written.ok());
  EXPECT_THAT(written.error().message(), HasSubstr("only source idx can"));
}

}  // namespace
}  // namespace fedmeta
