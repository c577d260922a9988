#include "fedmeta/tests/configs/config_files.h"

// Tables: the data dictionary of an experiment, and what a site says about its columns.
namespace fedmeta {
namespace {

constexpr const char* kTable = R"(name: hearts
model: {name: mlp}
data:
  name: heart
  source: {name: csv, path: heart.csv}
  features:
    - {name: chol, unit: mg/dL, range: [50, 700], missing: mean}
    - {name: sex, kind: category, levels: [female, male]}
  label: {name: disease, levels: [absent, present]}
  standardize: local
  tasks: {name: split}
algorithm: {name: maml}
federation: {rounds: 20, cohort: 5}
)";

TEST(TableKeys, AreReadAndWrittenAlike) {
  const auto experiment = Parse(kTable);
  ASSERT_TRUE(experiment.ok()) << experiment.error().message();
  EXPECT_EQ((*experiment)->data().features(0).range(1), 700);
  EXPECT_EQ((*experiment)->data().features(1).levels(1), "male");
  EXPECT_EQ((*experiment)->data().features(1).missing(), "refuse");
  const auto again = Parse(PrintYaml(**experiment, BuiltinPluginTables()));
  ASSERT_TRUE(again.ok()) << again.error().message();
  EXPECT_EQ((**again).SerializeAsString(), (**experiment).SerializeAsString());
}
TEST(TableKeys, EveryProblemOfADictionaryHasItsPlace) {
  EXPECT_EQ(Problems(With(With(kTable, "[50, 700]", "[700, 50]"), "[absent, present]", "[yes]")),
            "e.yaml:7:33: data.features[0].range must be [lowest, highest] with lowest < highest, "
            "got [700, 50]\n"
            "e.yaml:9:26: data.label.levels must be at least 2, got 1");
}
TEST(TableKeys, WhatTheBinderRefusedIsSaidOnce) {
  EXPECT_EQ(Problems(With(kTable, "kind: category", "kind: categorical")),
            "e.yaml:8:25: data.features[1].kind must be one of number, category, got "
            "'categorical'");
}
TEST(TableKeys, ATableNeedsADictionary) {
  const std::string cut(kTable);
  const std::size_t from = cut.find("  features:");
  const std::string without = cut.substr(0, from) + cut.substr(cut.find("  standardize"));
  EXPECT_EQ(Problems(without),
            "e.yaml:5:18: data.source.name csv needs data.features and data.label");
}
TEST(TableKeys, ImagesHaveNoFeatures) {
  EXPECT_EQ(Problems(With(kTable, "{name: csv, path: heart.csv}", "{name: idx, path: x}")),
            "e.yaml:6:3: data.features need a source with columns, csv or command, got idx");
}
TEST(TableKeys, FederatedStandardisationIsNotThereYet) {
  EXPECT_EQ(Problems(With(kTable, "standardize: local", "standardize: federated")),
            "e.yaml:10:16: data.standardize must be one of none, local, given, got 'federated'");
}
TEST(TableKeys, SitesNeedTheirFiles) {
  const std::string by_site =
      With(kTable, "  source: {name: csv, path: heart.csv}\n", "  partition: {scheme: sites}\n");
  EXPECT_EQ(Problems(by_site),
            "e.yaml:5:23: data.partition.scheme sites needs data.partition.site_files");
  const auto listed = Parse(With(by_site, "sites}", "sites, site_files: [a.yaml, b.yaml]}"));
  ASSERT_TRUE(listed.ok()) << listed.error().message();
  EXPECT_TRUE((*listed)->data().partition().site_files(1).ends_with("/b.yaml"));
}
TEST(TableKeys, SitesHaveTheirOwnSources) {
  EXPECT_EQ(Problems(With(kTable, "  tasks:",
                          "  partition: {scheme: sites, site_files: [a.yaml]}\n  tasks:")),
            "e.yaml:5:3: data.source is not read with data.partition.scheme sites: each site's "
            "file has its own; remove it");
}
TEST(TableKeys, SiteFilesWithoutTheScheme) {
  EXPECT_EQ(Problems(With(kTable, "  tasks:", "  partition: {site_files: [a.yaml]}\n  tasks:")),
            "e.yaml:11:15: data.partition.site_files are read with scheme sites only, which is "
            "uniform; remove them");
}

Result<Validated<v1::ClientFile>> LoadSite(const std::string& keys) {
  const TemporaryFolder folder;
  folder.Write("client.yaml", keys);
  return Loader(BuiltinPluginTables()).LoadClient(folder.path() / "client.yaml");
}

TEST(TableKeys, ASiteNamesItsColumns) {
  const auto site = LoadSite(
      "data:\n  heart:\n    source: {name: csv, path: h.csv, delimiter: semicolon}\n"
      "    columns: {chol: {from: CHOL_MMOL, scale: 38.67}, sex: {from: GESCHL, map: {W: "
      "female}}}\n"
      "    missing: [\"\", -9, \"?\"]\n    group: [patient]\n");
  ASSERT_TRUE(site.ok()) << site.error().message();
  const v1::SiteData& heart = (*site)->data().at("heart");
  EXPECT_EQ(heart.columns().at("chol").scale(), 38.67);
  EXPECT_EQ(heart.columns().at("sex").map().at("W"), "female");
  EXPECT_EQ(heart.columns().at("sex").scale(), 1);
  ASSERT_EQ(heart.missing_size(), 3);
  EXPECT_EQ(heart.missing(0), "");
  EXPECT_EQ(heart.missing(1), "-9");
  EXPECT_EQ((*site)->resources().memory_mib(), 4096U);
}
TEST(TableKeys, NothingNamedMeansAnEmptyCellIsMissing) {
  const auto site = LoadSite("data: {heart: {source: {name: csv, path: h.csv}}}\n");
  ASSERT_TRUE(site.ok()) << site.error().message();
  ASSERT_EQ((*site)->data().at("heart").missing_size(), 1);
  EXPECT_EQ((*site)->data().at("heart").missing(0), "");
}
TEST(TableKeys, AScaleOfNought) {
  const auto site =
      LoadSite("data: {heart: {source: {name: csv, path: h.csv}, columns: {chol: {scale: 0}}}}\n");
  ASSERT_FALSE(site.ok());
  EXPECT_NE(site.error().message().find("data.heart.columns.chol.scale must not be 0"),
            std::string::npos)
      << site.error().message();
}
TEST(TableKeys, AMapThatIsNoBlock) {
  const auto site =
      LoadSite("data: {heart: {source: {name: csv, path: h.csv}, columns: {sex: {map: [W]}}}}\n");
  ASSERT_FALSE(site.ok());
  EXPECT_NE(site.error().message().find("data.heart.columns.sex.map must be texts by name"),
            std::string::npos)
      << site.error().message();
}

}  // namespace
}  // namespace fedmeta
