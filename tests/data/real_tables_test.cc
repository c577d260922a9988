#include <array>
#include <map>

#include "table_testing.h"
#include <gmock/gmock.h>

// The four hospitals and the banks' loans, read from the published files.
namespace fedmeta {
namespace {

v1::Dictionary Hospital() {
  std::string features;
  const auto number = [&](const char* name) {
    features += std::string("features { name: '") + name +
                "' kind: 'number' missing: 'drop_row' unknown: 'refuse' }";
  };
  const auto category = [&](const char* name, const std::vector<std::string>& levels) {
    features += std::string("features { name: '") + name +
                "' kind: 'category' missing: 'drop_row' unknown: 'refuse'";
    for (const std::string& level : levels) features += " levels: '" + level + "'";
    features += " }";
  };
  number("age");
  category("sex", {"0", "1"});
  category("cp", {"1", "2", "3", "4"});
  number("trestbps");
  number("chol");
  category("fbs", {"0", "1"});
  category("restecg", {"0", "1", "2"});
  number("thalach");
  category("exang", {"0", "1"});
  number("oldpeak");
  return FromText<v1::Dictionary>(
      features +
      "label { name: 'num' kind: 'category' levels: 'absent' levels: 'present' } "
      "standardize: 'local'");
}

v1::SiteData HospitalSite(const std::string& file) {
  v1::CsvSettings settings;
  settings.set_path(file);
  settings.set_header(false);
  for (const char* name : {"age", "sex", "cp", "trestbps", "chol", "fbs", "restecg", "thalach",
                           "exang", "oldpeak", "slope", "ca", "thal", "num"}) {
    settings.add_column_names(name);
  }
  auto site = FromText<v1::SiteData>(R"(missing: "?" columns { key: "num" value {
    map { key: "0" value: "absent" } map { key: "1" value: "present" }
    map { key: "2" value: "present" } map { key: "3" value: "present" }
    map { key: "4" value: "present" } } })");
  *site.mutable_source() = PluginOf("csv", settings);
  return site;
}

class HeartDiseaseTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!std::filesystem::exists(folder_)) {
      GTEST_SKIP() << "heart_disease is not under FEDMETA_DATA";
    }
  }
  BuiltTable Build(const std::string& hospital) const {
    const auto source =
        OpenSite(BuiltinData(), HospitalSite(folder_ / ("processed." + hospital + ".data")), {});
    EXPECT_TRUE(source.ok()) << source.error().message();
    return MustBuild(*source->table, Hospital());
  }
  const std::filesystem::path folder_ = DataRoot() / "heart_disease";
};

TEST_F(HeartDiseaseTest, HasThePublishedRowsOfEveryHospital) {
  struct Counts {
    std::uint64_t rows, used;
  };
  // FLamby's train + test rows, after its rule of dropping rows with "?".
  const std::map<std::string, Counts> published = {{"cleveland", {303, 199 + 104}},
                                                   {"hungarian", {294, 172 + 89}},
                                                   {"switzerland", {123, 30 + 16}},
                                                   {"va", {200, 85 + 45}}};
  for (const auto& [hospital, counts] : published) {
    const BuiltTable built = Build(hospital);
    EXPECT_EQ(built.report.rows, counts.rows) << hospital;
    EXPECT_EQ(built.report.used, counts.used)
        << hospital << ::testing::PrintToString(built.report.problems);
  }
}
TEST_F(HeartDiseaseTest, LabelsAreThoseOfThePublishedSplit) {
  std::ifstream split(folder_ / "flamby_split.csv");
  std::string line;
  std::getline(split, line);
  std::map<std::string, std::array<std::uint64_t, 2>> published;
  while (std::getline(split, line)) {
    const std::size_t name = line.find(',') + 1;
    const std::size_t row = line.find(',', name) + 1;
    const std::size_t label = line.find(',', row) + 1;
    ++published[line.substr(name, row - name - 1)][line[label] == '1' ? 1 : 0];
  }
  ASSERT_EQ(published.size(), 4U);
  for (const auto& [hospital, counts] : published) {
    const BuiltTable built = Build(hospital);
    EXPECT_EQ(built.report.labels[0].second, counts[0]) << hospital;
    EXPECT_EQ(built.report.labels[1].second, counts[1]) << hospital;
  }
}

TEST(LoansTest, AreReadBehindTheByteOrderMark) {
  const std::filesystem::path file = DataRoot() / "sba_loans" / "SBAcase.11.13.17.csv";
  if (!std::filesystem::exists(file)) GTEST_SKIP() << "sba_loans is not under FEDMETA_DATA";
  v1::CsvSettings settings;
  settings.set_path(file.string());
  settings.set_header(true);
  const auto dictionary = FromText<v1::Dictionary>(R"(
    features { name: "Selected" kind: "category" levels: "0" levels: "1" missing: "refuse"
               unknown: "refuse" }
    features { name: "DisbursementGross" kind: "number" missing: "refuse" unknown: "refuse" }
    features { name: "Portion" kind: "number" range: 0 range: 1 missing: "refuse"
               unknown: "refuse" }
    label { name: "Default" kind: "category" levels: "0" levels: "1" }
    standardize: "none")");
  v1::SiteData site;
  *site.mutable_source() = PluginOf("csv", settings);
  const auto build = [&] {
    const auto source = OpenSite(BuiltinData(), site, {});
    EXPECT_TRUE(source.ok()) << source.error().message();
    return MustBuild(*source->table, dictionary).report;
  };
  const TableReport all = build();
  EXPECT_EQ(all.used, 2102U) << ::testing::PrintToString(all.problems);
  EXPECT_EQ(all.labels[1].second, 686U);
  // The README's 155 banks count the three loans that name none as one.
  site.add_group("Bank");
  const TableReport by_bank = build();
  EXPECT_EQ(by_bank.groups, 154U);
  EXPECT_EQ(by_bank.without_group, 3U);
}

}  // namespace
}  // namespace fedmeta
