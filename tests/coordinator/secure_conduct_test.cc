#include "fedmeta/coordinator/secure_conduct.h"

#include <gtest/gtest.h>

#include "fedmeta/coordinator/secure_group.h"

namespace fedmeta {
namespace {

AttemptRecord Record(std::uint64_t round, std::uint32_t attempt,
                     const std::vector<std::string>& missing, std::string_view phase = "share") {
  AttemptRecord record;
  record.key = {.experiment = ExperimentId("demo/maml"), .round = round, .attempt = attempt};
  record.sessions = {{.session = 1, .group = 0, .phase = std::string(phase), .missing = missing}};
  return record;
}

TEST(SecureConductTest, WhoMissedASessionSitsOutTheRestOfTheRound) {
  SecureConduct conduct;
  EXPECT_TRUE(conduct.nobody_sits_out());
  conduct.Take(Record(1, 1, {"a"}));
  EXPECT_TRUE(conduct.SitsOut("a"));
  EXPECT_FALSE(conduct.SitsOut("b"));
  AttemptRecord committed = Record(1, 2, {});
  committed.committed = true;
  conduct.Take(committed);
  EXPECT_TRUE(conduct.nobody_sits_out()) << "the next round is asked of all";
}

TEST(SecureConductTest, ASpentRoundHasNoFurtherAttempts) {
  SecureConduct conduct;
  AttemptRecord spent = Record(1, 1, {"a", "b"}, "open");
  spent.spent = true;
  conduct.Take(spent);
  EXPECT_TRUE(conduct.nobody_sits_out());
}

TEST(SecureConductTest, AfterThreeMissesInTwentySessionsOneSitsOutUntilTheyAreForgotten) {
  SecureConduct conduct;
  std::uint64_t round = 0;
  const auto pass = [&](const std::vector<std::string>& missing) {
    AttemptRecord record = Record(++round, 1, missing);
    record.committed = true;
    conduct.Take(record);
  };
  for (int i = 0; i < 3; ++i) pass({"a"});
  EXPECT_TRUE(conduct.SitsOut("a"));
  for (int i = 0; i < 17; ++i) pass({});
  EXPECT_TRUE(conduct.SitsOut("a")) << "three of the latest twenty";
  pass({});
  EXPECT_FALSE(conduct.SitsOut("a"));
}

TEST(SecureConductTest, OfDisputesOnlyThoseWithDistinctOthersCount) {
  SecureConduct conduct;
  std::uint64_t round = 0;
  const auto dispute = [&](const std::vector<std::string>& ends) {
    AttemptRecord record = Record(++round, 1, ends, kDisputed);
    record.committed = true;
    conduct.Take(record);
  };
  // One of the two lies: a pair can accuse each other as often as it likes and excludes nobody.
  for (int i = 0; i < 5; ++i) dispute({"a", "b"});
  EXPECT_FALSE(conduct.SitsOut("a"));
  EXPECT_FALSE(conduct.SitsOut("b"));
  dispute({"a", "c"});
  EXPECT_FALSE(conduct.SitsOut("a"));
  dispute({"d", "a"});
  EXPECT_TRUE(conduct.SitsOut("a"));
  for (const char* other : {"b", "c", "d"}) EXPECT_FALSE(conduct.SitsOut(other)) << other;
}

}  // namespace
}  // namespace fedmeta
