#include "fedmeta/client/data/record_reader.h"

#include <cmath>

#include "table_testing.h"
#include <gmock/gmock.h>

namespace fedmeta {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

v1::Dictionary Hearts() {
  return FromText<v1::Dictionary>(R"(
    features { name: "chol" kind: "number" missing: "drop_row" unknown: "refuse" range: 50 range: 700 }
    features { name: "age" kind: "number" missing: "mean" unknown: "refuse" }
    features { name: "sex" kind: "category" levels: "female" levels: "male" missing: "zero_with_flag"
               unknown: "refuse" }
    label { name: "ill" kind: "category" levels: "no" levels: "yes" }
    standardize: "none")");
}

struct ReadRecords {
  std::vector<Record> records;
  std::vector<FeatureReport> report;
};

ReadRecords MustRead(const RawTable& table, const v1::Dictionary& dictionary,
                     const std::string& id = "") {
  auto reader = OpenRecords(table, dictionary, id);
  EXPECT_TRUE(reader.ok()) << reader.error().message();
  ReadRecords read;
  for (Record record; (*reader)->Next(record).value();) read.records.push_back(record);
  read.report = (*reader)->Report();
  return read;
}

TEST(RecordReaderTest, EveryRowIsGivenWithWhyItCannotBeScored) {
  const ReadRecords read = MustRead(TableOf("name,chol,age,sex\n"
                                            "a,200,50,male\n"
                                            "b,,50,male\n"
                                            "c,9000,,female\n"
                                            "d,200,old,\n"
                                            "e,200,,other\n"),
                                    Hearts(), "name");
  ASSERT_EQ(read.records.size(), 5U);
  EXPECT_THAT(read.records[0].values, ElementsAre(200, 50, 1));
  std::string problems;
  std::string names;
  for (const Record& record : read.records) {
    problems += record.problem + "|";
    names += record.id;
  }
  EXPECT_EQ(problems, "|chol: missing|chol: out of range|age: no number|sex: unknown level|");
  EXPECT_EQ(names, "abcde");
  EXPECT_TRUE(std::isnan(read.records[2].values[1])) << "filled by the model";
  EXPECT_EQ(read.report[0].missing, 1U);
  EXPECT_EQ(read.report[0].outside, 1U);
}
TEST(RecordReaderTest, SitesMappingIsApplied) {
  const ReadRecords read =
      MustRead(TableOf("CHOL;age;sex\n5,0;-9;W\n",
                       R"(columns { key: "chol" value { from: "CHOL" scale: 40 } }
                          columns { key: "sex" value { map { key: "W" value: "female" } } }
                          missing: "-9")",
                       {.delimiter = ';', .decimal_mark = ','}),
               Hearts());
  EXPECT_EQ(read.records[0].values[0], 200);
  EXPECT_TRUE(std::isnan(read.records[0].values[1]));
  EXPECT_EQ(read.records[0].values[2], 0);
  EXPECT_EQ(read.records[0].problem, "");
}
TEST(RecordReaderTest, ColumnsThatAreNotThereAreAllSaid) {
  const auto reader = OpenRecords(TableOf("chol,sex\n1,2\n"), Hearts(), "patient");
  ASSERT_FALSE(reader.ok());
  EXPECT_THAT(reader.error().message(), HasSubstr("no column 'age'"));
  EXPECT_THAT(reader.error().message(), HasSubstr("--id: there is no column 'patient'"));
  EXPECT_THAT(reader.error().message(), Not(HasSubstr("ill"))) << "a label is not needed";
}
TEST(RecordReaderTest, ADictionaryThatIsNoneIsRefused) {
  v1::Dictionary dictionary = Hearts();
  dictionary.mutable_features(0)->set_kind("date");
  EXPECT_FALSE(OpenRecords(TableOf("chol\n1\n"), dictionary, "").ok());
}

}  // namespace
}  // namespace fedmeta
