// Robust aggregation where the parts meet: what configuration accepts and what the rules need, and
// a round of the worker.
#include "engine_harness.h"
#include "fake_run.h"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fedmeta/configs/loader.h"
#include "fedmeta/coordinator/plan_factory.h"
#include "fedmeta/coordinator/round_worker.h"

namespace fedmeta {
namespace {

using ::testing::Each;
using ::testing::FloatEq;
using ::testing::HasSubstr;

Result<Validated<v1::Experiment>> Load(const std::string& aggregation, std::uint32_t minimum) {
  const std::string yaml =
      "name: waves\nmodel: {name: mlp}\ndata: {name: sinusoid, tasks: {name: regression}}\n"
      "algorithm: {name: maml}\nfederation: {rounds: 1, cohort: 12, minimum_cohort: " +
      std::to_string(minimum) + "}\nserver: {aggregation: {" + aggregation +
      "}}\nprivacy: {secure_aggregation: {mode: plain_robust}}\n";
  return Loader(BuiltinPluginTables()).ParseExperiment(yaml, "e.yaml");
}

/// Fewest contributions with which the aggregation finishes.
std::uint32_t FewestOf(const v1::Plugin& choice) {
  const Leg leg = TinyLeg("maml", 4);
  const auto aggregator = MakeAggregator(BuiltinServer(), choice,
                                         {.layout = &leg.layout,
                                          .update_unit = ContributionCodec::kUpdateUnit,
                                          .weight_unit = ContributionCodec::kTailUnit})
                              .value();
  const std::vector<std::uint64_t> words(5, std::uint64_t{1} << 20U);
  for (std::uint32_t n = 1;; ++n) {
    for (std::uint32_t k = 0; k < n; ++k)
      EXPECT_TRUE(aggregator->Add(ClientId(std::to_string(k)), words).ok());
    if (aggregator->Finish().ok()) return n;
  }
}

/// With whatever the configuration accepts, a committed round has the reports that the rule needs.
TEST(RobustRounds, ConfigurationAcceptsExactlyWhatTheRuleCanDo) {
  int rules = 0;
  for (const auto& [name, factory] : BuiltinServer().aggregations) {
    if (name == "weighted_mean") continue;
    ++rules;
    std::vector<std::string> settings = {"byzantine: 0", "byzantine: 1", "byzantine: 3"};
    if (name == "multi_krum") settings.emplace_back("byzantine: 1, keep: 5");
    for (const std::string& keys : settings) {
      const std::string aggregation = "name: " + name + ", " + keys;
      const auto widest = Load(aggregation, 12);
      ASSERT_TRUE(widest.ok()) << widest.error().message();
      const std::uint32_t fewest = FewestOf((**widest).server().aggregation());
      for (std::uint32_t minimum = 1; minimum <= 12; ++minimum)
        EXPECT_EQ(Load(aggregation, minimum).ok(), minimum >= fewest) << aggregation << minimum;
    }
  }
  EXPECT_EQ(rules, 6);
}

class RobustWorkerTest : public ::testing::Test {
 protected:
  RobustWorkerTest() {
    legs_[0].aggregation = (**Load("name: median", 12)).server().aggregation();
    EXPECT_TRUE(worker_.StartLeg(0).ok());
  }
  RoundPlan Begin() {
    RoundPlan plan = PlanFactory(experiment_, FactsOf(worker_.leg()))
                         .Train(1, 1, std::nullopt, worker_.state_hash())
                         .value();
    EXPECT_TRUE(worker_.BeginAttempt(plan, 3).ok());
    return plan;
  }

  v1::Experiment experiment_ = DemoExperiment(3, 3, 3);
  std::vector<Leg> legs_ = {TinyLeg("maml", 64)};
  RoundWorker worker_{legs_, BuiltinServer(), 3};
};

TEST_F(RobustWorkerTest, TheStateFollowsTheRuleAndMetricsAreSums) {
  const RoundPlan plan = Begin();
  int client = 0;
  for (const float value : {1.0F, 1e5F, 2.0F}) {
    ASSERT_TRUE(
        worker_
            .AddUpload(ClientId(std::to_string(client++)), false, TinyUpload(plan.message(), value))
            .ok());
  }
  const Result<RoundResult> result = worker_.Close(plan, 3, 3);
  ASSERT_TRUE(result.ok()) << result.error().message();
  EXPECT_EQ(result->metrics.front().clients, 3);
  EXPECT_THAT(worker_.next_state(), Each(FloatEq(-2)));
}

TEST_F(RobustWorkerTest, FewerThanTheRuleNeedsAreNeverAnotherMean) {
  const RoundPlan plan = Begin();
  for (const char* client : {"a", "b"})
    ASSERT_TRUE(worker_.AddUpload(ClientId(client), false, TinyUpload(plan.message(), 1)).ok());
  const Result<RoundResult> result = worker_.Close(plan, 2, 3);
  ASSERT_FALSE(result.ok());
  EXPECT_THAT(result.error().message(), HasSubstr("2 contributions, the rule needs at least 3"));
}

}  // namespace
}  // namespace fedmeta
