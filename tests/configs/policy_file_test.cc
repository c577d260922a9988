#include <gmock/gmock.h>

#include "fedmeta/configs/day_hours.h"
#include "fedmeta/tests/configs/config_files.h"

// The policy block of a client's file, and the time of day in which it takes part.
namespace fedmeta {
namespace {

class PolicyFile : public ::testing::Test {
 protected:
  Result<Validated<v1::ClientFile>> Client(const std::string& block) {
    return loader_.LoadClient(
        folder_.Write("c.yaml", "data: {heart: {source: {name: sinusoid}}}\n" + block));
  }
  std::string ProblemsOf(const std::string& block) {
    return ProblemsIn(folder_.path(), Client(block));
  }
  TemporaryFolder folder_;
  const Loader loader_{BuiltinPluginTables()};
};

TEST_F(PolicyFile, NoBlockMeansThatSomebodyHasToApprove) {
  const auto client = Client("");
  ASSERT_TRUE(client.ok()) << client.error().message();
  const v1::Policy& policy = (*client)->policy();
  EXPECT_EQ(policy.approve(), "manual");
  EXPECT_EQ(policy.disclose().metrics(), "aggregate");
  EXPECT_EQ(policy.allow().purposes_size(), 2);
  EXPECT_FALSE(policy.has_epsilon_budget());
  EXPECT_FALSE(policy.has_minimum_cohort());
}
TEST_F(PolicyFile, AWholeBlock) {
  const auto client = Client(R"(policy:
  approve: hashes
  hashes: [0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef]
  allow: {algorithms: [maml], researchers: ["spiffe://heart/researcher/lea"], purposes: [train]}
  minimum_cohort: 4
  members: ["spiffe://heart/client/*"]
  require: {secure_aggregation: true, differential_privacy: true}
  epsilon_budget: {epsilon: 4, delta: 1e-6}
  disclose: {metrics: none, minimum_examples: 20}
  maximum_model_mib: 10
resources: {hours: "20:00-06:00"}
)");
  ASSERT_TRUE(client.ok()) << client.error().message();
  EXPECT_EQ((*client)->policy().epsilon_budget().delta(), 1e-6);
  EXPECT_EQ((*client)->policy().allow().purposes(0), "train");
}
TEST_F(PolicyFile, HashesWithoutAny) {
  EXPECT_EQ(ProblemsOf("policy: {approve: hashes}\n"),
            "c.yaml:2:19: policy.approve is 'hashes', and policy.hashes names none");
}
TEST_F(PolicyFile, AHashThatIsNone) {
  EXPECT_EQ(ProblemsOf("policy: {hashes: [abc]}\n"),
            "c.yaml:2:19: policy.hashes[0] must be 64 hexadecimal digits, as `fedmeta site "
            "pending` shows them, got 'abc'");
}
TEST_F(PolicyFile, ABudgetWithoutADelta) {
  EXPECT_THAT(ProblemsOf("policy: {epsilon_budget: {epsilon: 1}}\n"),
              ::testing::HasSubstr("policy.epsilon_budget.delta is required"));
}
TEST_F(PolicyFile, ASecureSumOfTwo) {
  EXPECT_THAT(ProblemsOf("policy: {minimum_cohort: 2, require: {secure_aggregation: true}}\n"),
              ::testing::HasSubstr("policy.minimum_cohort must be >= 3"));
}
TEST_F(PolicyFile, APurposeThatIsUnknown) {
  EXPECT_THAT(ProblemsOf("policy: {allow: {purposes: [training]}}\n"),
              ::testing::HasSubstr("must be one of train, evaluate, got 'training'"));
}
TEST_F(PolicyFile, HoursThatAreNone) {
  EXPECT_EQ(ProblemsOf("resources: {hours: 20-6}\n"),
            "c.yaml:2:20: resources.hours must be a time of day such as 20:00-06:00, got '20-6'");
}

TEST(DayHours, ReachOverMidnight) {
  const DayHours night = ParseDayHours("20:00-06:00").value();
  EXPECT_TRUE(night.Contains(20 * 60));
  EXPECT_TRUE(night.Contains(0));
  EXPECT_TRUE(night.Contains(5 * 60 + 59));
  EXPECT_FALSE(night.Contains(6 * 60));
  EXPECT_FALSE(night.Contains(12 * 60));
  EXPECT_FALSE(night.Contains(20 * 60 - 1));
}
TEST(DayHours, OfOneDay) {
  const DayHours day = ParseDayHours("08:30-24:00").value();
  EXPECT_TRUE(day.Contains(8 * 60 + 30));
  EXPECT_TRUE(day.Contains(23 * 60 + 59));
  EXPECT_FALSE(day.Contains(0));
}
TEST(DayHours, OtherFormsAreNone) {
  for (const char* text : {"", "8:00-9:00", "08:00", "08:00-25:00", "08:60-09:00", "24:01-09:00",
                           "08:00-09:0", "aa:00-09:00", "08:00-09:00-10:00"}) {
    EXPECT_FALSE(ParseDayHours(text)) << text;
  }
}

}  // namespace
}  // namespace fedmeta
