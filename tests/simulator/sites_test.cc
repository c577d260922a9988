#include "fedmeta/simulator/sites.h"

#include <filesystem>
#include <fstream>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fedmeta/configs/loader.h"
#include "fedmeta/tests/support/temporary_folder.h"

// A simulation of sites that each have a file of their own.
namespace fedmeta {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class SitesTest : public ::testing::Test {
 protected:
  /// A site of `rows` rows whose labels alternate.
  void AddSite(const std::string& name, int rows, const std::string& role = "train") {
    std::string table = "x,y\n";
    for (int i = 0; i < rows; ++i) table += std::to_string(i) + (i % 2 == 0 ? ",no\n" : ",yes\n");
    folder_.Write(name + ".csv", table);
    folder_.Write(name + ".yaml",
                  "data: {d: {source: {name: csv, path: " + name + ".csv}, role: " + role + "}}\n");
    files_ += (files_.empty() ? "" : ", ") + name + ".yaml";
  }
  Result<SimulationData> Open(const std::string& cohort = "1") const {
    const auto experiment = Loader(BuiltinPluginTables())
                                .ParseExperiment(R"(
name: test
model: {name: mlp, hidden: []}
data:
  name: d
  features: [{name: x}]
  label: {name: y, levels: [no, yes]}
  standardize: local
  tasks: {name: split, support_fraction: 0.5}
  partition: {scheme: sites, site_files: [)" + files_ +
                                                     R"(]}
algorithm: {name: maml}
federation: {rounds: 1, cohort: )" + cohort + "}\n",
                                                 folder_.path() / "e.yaml");
    if (!experiment.ok()) return experiment.error();
    return OpenSimulationData(**experiment, BuiltinData(), BuiltinPluginTables());
  }
  std::string ErrorOf(const std::string& cohort = "1") const {
    const auto data = Open(cohort);
    return data.ok() ? "opened" : data.error().message();
  }

  const TemporaryFolder folder_;
  std::string files_;
};

TEST_F(SitesTest, EverySiteHasItsOwnRowsNameAndRole) {
  AddSite("b", 10);
  AddSite("a", 20);
  AddSite("h", 30, "holdout");
  const auto data = Open();
  ASSERT_TRUE(data.ok()) << data.error().message();
  ASSERT_EQ(data->partition->clients(), 3U);
  EXPECT_EQ(data->partition->name(0), "a");
  EXPECT_EQ(data->partition->view(0)->size(), 20U);
  EXPECT_EQ(data->partition->name(2), "h");
  EXPECT_EQ(data->partition->role(2), v1::ROLE_HOLDOUT);
  EXPECT_THAT(data->source.input_shape, ElementsAre(1));
}
TEST_F(SitesTest, ASiteTooSmallForItsTaskIsSkippedAndSaid) {
  AddSite("a", 10);
  AddSite("tiny", 1);
  const auto data = Open();
  ASSERT_TRUE(data.ok()) << data.error().message();
  EXPECT_EQ(data->partition->clients(), 1U);
  ASSERT_EQ(data->skipped.size(), 1U);
  EXPECT_EQ(data->skipped[0].name, "tiny");
  EXPECT_THAT(data->skipped[0].reason, HasSubstr("this client has too few rows"));
}
TEST_F(SitesTest, TheFingerprintIsOverAllSites) {
  AddSite("a", 10);
  AddSite("b", 10);
  const Digest before = Open()->source.fingerprint;
  EXPECT_EQ(Open()->source.fingerprint, before);
  folder_.Write("b.csv", "x,y\n1,no\n2,yes\n3,no\n4,yes\n");
  EXPECT_NE(Open()->source.fingerprint, before);
}
TEST_F(SitesTest, EverySiteThatCannotBeReadIsSaidAtOnce) {
  AddSite("a", 10);
  AddSite("b", 10);
  AddSite("c", 10);
  folder_.Write("b.csv", "X,y\n1,no\n");
  std::filesystem::remove(folder_.path() / "c.csv");
  EXPECT_THAT(ErrorOf(), AllOf(HasSubstr("site b: 'x': there is no column 'x'"),
                               HasSubstr("site c: cannot read the file")));
}
TEST_F(SitesTest, AFileWithoutTheDataAndANameTwice) {
  AddSite("a", 10);
  folder_.Write("a.yaml", "data: {other: {source: {name: csv, path: a.csv}}}\n");
  EXPECT_THAT(ErrorOf(), HasSubstr("site a: has no section data.d"));
  AddSite("a", 10);
  EXPECT_THAT(ErrorOf(), HasSubstr("two of partition.site_files are called 'a'"));
}
TEST_F(SitesTest, FewerTrainingSitesThanTheCohort) {
  AddSite("a", 10);
  AddSite("h", 10, "holdout");
  EXPECT_THAT(ErrorOf("2"), HasSubstr("which are 1, got 2"));
}
TEST_F(SitesTest, AModelIsBuiltWithOrWithoutTheSites) {
  AddSite("a", 10);
  const LearnRegistries registries = {
      .models = BuiltinModels(), .algorithms = BuiltinMetaLearners(), .data = BuiltinData()};
  const auto experiment = Loader(BuiltinPluginTables())
                              .ParseExperiment(R"(
name: test
model: {name: mlp, hidden: []}
data:
  name: d
  features: [{name: x, missing: zero_with_flag}, {name: z, kind: category, levels: [p, q, r]}]
  label: {name: y, levels: [no, yes]}
  tasks: {name: split}
algorithm: {name: maml}
federation: {rounds: 1, cohort: 1}
)",
                                               folder_.path() / "e.yaml");
  ASSERT_TRUE(experiment.ok()) << experiment.error().message();
  const auto legs = PrepareLegs(**experiment, registries, nullptr);
  ASSERT_TRUE(legs.ok()) << legs.error().message();
  // x, its flag and three levels of z; two outputs and their intercepts.
  EXPECT_EQ(legs->front().layout.size(), 5U * 2 + 2);
  v1::Assignment assignment;
  ASSERT_TRUE(assignment.ParseFromString(legs->front().assignment));
  EXPECT_EQ(assignment.dictionary().features_size(), 2);
}

}  // namespace
}  // namespace fedmeta
