#include "fedmeta/coordinator/round_worker.h"

#include <limits>

#include "engine_harness.h"
#include "fake_run.h"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fedmeta/coordinator/plan_factory.h"
#include "fedmeta/core/rng.h"

namespace fedmeta {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::FloatEq;
using ::testing::HasSubstr;

class RoundWorkerTest : public ::testing::Test {
 protected:
  RoundWorkerTest() { legs_[1].optimizer.set_name("adam"); }

  RoundPlan Train(std::uint64_t round) {
    return PlanFactory(experiment_, FactsOf(worker_.leg()))
        .Train(round, 1, std::nullopt, worker_.state_hash())
        .value();
  }
  RoundPlan Evaluate() {
    return PlanFactory(experiment_, FactsOf(worker_.leg()))
        .Evaluate(v1::PART_TEST, 1, 2, std::nullopt, worker_.state_hash())
        .value();
  }
  Status Add(const std::string& client, std::span<const std::byte> payload,
             bool disclosed = false) {
    return worker_.AddUpload(ClientId(client), disclosed, payload);
  }
  std::vector<float> State() const {
    std::vector<float> state(worker_.state()->size() / sizeof(float));
    std::memcpy(state.data(), worker_.state()->data(), worker_.state()->size());
    return state;
  }

  v1::Experiment experiment_ = DemoExperiment(3, 2, 1);
  std::vector<Leg> legs_ = {TinyLeg("maml", 64), TinyLeg("fedavg", 64)};
  RoundWorker worker_{legs_, BuiltinServer(), 3};
};

TEST_F(RoundWorkerTest, TheNextStateBecomesCurrentWithTheCommit) {
  ASSERT_TRUE(worker_.StartLeg(0).ok());
  EXPECT_EQ(worker_.state_hash(), FactsOf(legs_[0]).state_hash);
  const RoundPlan plan = Train(1);
  ASSERT_TRUE(worker_.BeginAttempt(plan, 2).ok());
  ASSERT_TRUE(Add("a", TinyUpload(plan.message(), 1)).ok());
  ASSERT_TRUE(Add("b", TinyUpload(plan.message(), 2)).ok());
  const Result<RoundResult> result = worker_.Close(plan, 2, 2);
  ASSERT_TRUE(result.ok()) << result.error().message();
  EXPECT_EQ(result->metrics.front().clients, 2);
  EXPECT_THAT(State(), Each(FloatEq(0)));
  EXPECT_THAT(worker_.next_state(), Each(FloatEq(-1.5)));
  worker_.Commit(Digest::Of(AsBytes(worker_.next_state())));
  EXPECT_THAT(State(), Each(FloatEq(-1.5)));
  EXPECT_EQ(worker_.state_hash(), Digest::Of(*worker_.state()));
}

TEST_F(RoundWorkerTest, AnyOrderOfContributionsGivesTheSameBits) {
  std::vector<Bytes> payloads;
  std::vector<std::size_t> order;
  ASSERT_TRUE(worker_.StartLeg(1).ok());
  const v1::RoundPlan message = Train(1).message();
  Rng rng(StreamName{.seed = 1, .purpose = "test"});
  const ContributionCodec codec = ContributionCodec::Create({.layout = &legs_[1].layout,
                                                             .metric_cells = 1,
                                                             .maximum_weight = 1,
                                                             .maximum_contributors = 20})
                                      .value();
  for (std::size_t i = 0; i < 20; ++i) {
    Contribution contribution{
        .update = {}, .weight = rng.Uniform(0.1, 1), .metrics = Cells(1, 1, rng.Uniform(), 0.5)};
    for (int c = 0; c < 64; ++c) contribution.update.push_back(static_cast<float>(rng.Normal()));
    payloads.push_back(codec.ToWire(contribution).value());
    order.push_back(i);
  }
  std::vector<Digest> hashes;
  for (int repeat = 0; repeat < 5; ++repeat) {
    ASSERT_TRUE(worker_.StartLeg(1).ok());
    const RoundPlan plan = Train(1);
    ASSERT_TRUE(worker_.BeginAttempt(plan, 20).ok());
    for (const std::size_t i : order) ASSERT_TRUE(Add("c" + std::to_string(i), payloads[i]).ok());
    ASSERT_TRUE(worker_.Close(plan, 20, 20).ok());
    worker_.Commit(Digest::Of(AsBytes(worker_.next_state())));
    hashes.push_back(worker_.state_hash());
    rng.Shuffle(std::span(order));
  }
  EXPECT_THAT(hashes, Each(hashes.front()));
  EXPECT_NE(hashes.front(), FactsOf(legs_[1]).state_hash);
}

TEST_F(RoundWorkerTest, AHostilePayloadLeavesTheSumAsItWas) {
  ASSERT_TRUE(worker_.StartLeg(0).ok());
  const RoundPlan plan = Train(1);
  ASSERT_TRUE(worker_.BeginAttempt(plan, 3).ok());
  ASSERT_TRUE(Add("a", TinyUpload(plan.message(), 1)).ok());
  Bytes hostile = TinyUpload(plan.message(), 1);
  const float nan = std::numeric_limits<float>::quiet_NaN();
  std::memcpy(&hostile[40], &nan, sizeof(nan));
  const Status refused = Add("b", hostile);
  ASSERT_FALSE(refused.ok());
  EXPECT_THAT(refused.error().message(), HasSubstr("theta/w"));
  EXPECT_FALSE(Add("c", std::span(hostile).first(10)).ok());
  ASSERT_TRUE(worker_.Close(plan, 1, 3).ok());
  EXPECT_THAT(worker_.next_state(), Each(FloatEq(-1)));
}

TEST_F(RoundWorkerTest, AnAbandonedAttemptLeavesNoTrace) {
  const auto run = [&](bool disturbed) {
    EXPECT_TRUE(worker_.StartLeg(1).ok());
    for (std::uint64_t round = 1; round <= 3; ++round) {
      const RoundPlan plan = Train(round);
      if (disturbed) {
        EXPECT_TRUE(worker_.BeginAttempt(plan, 2).ok());
        EXPECT_TRUE(Add("x", TinyUpload(plan.message(), 5)).ok());
        EXPECT_TRUE(worker_.Close(plan, 1, 2).ok());  // moves the moments
        worker_.Abandon();
      }
      EXPECT_TRUE(worker_.BeginAttempt(plan, 2).ok());
      EXPECT_TRUE(Add("a", TinyUpload(plan.message(), 0.5F)).ok());
      EXPECT_TRUE(worker_.Close(plan, 1, 2).ok());
      worker_.Commit(Digest::Of(AsBytes(worker_.next_state())));
    }
    return worker_.state_hash();
  };
  EXPECT_EQ(run(true), run(false));
}

TEST_F(RoundWorkerTest, AnEvaluationChangesNoStateAndDisclosesOnlyTheWilling) {
  ASSERT_TRUE(worker_.StartLeg(0).ok());
  const Digest before = worker_.state_hash();
  const RoundPlan plan = Evaluate();
  ASSERT_TRUE(worker_.BeginAttempt(plan, 2).ok());
  ASSERT_TRUE(Add("b", TinyUpload(plan.message(), 0, 0.25), true).ok());
  ASSERT_TRUE(Add("a", TinyUpload(plan.message(), 0, 0.75)).ok());
  const Result<RoundResult> result = worker_.Close(plan, 2, 2);
  ASSERT_TRUE(result.ok());
  ASSERT_EQ(result->metrics.size(), 4U);
  EXPECT_DOUBLE_EQ(result->metrics[3].mean_correct, 1.0);  // 0.25 + 0.75
  ASSERT_EQ(result->disclosed.size(), 1U);
  EXPECT_EQ(result->disclosed[0].first, ClientId("b"));
  EXPECT_DOUBLE_EQ(result->disclosed[0].second[0].mean_correct, 0.25);
  EXPECT_EQ(worker_.state_hash(), before);
}

TEST_F(RoundWorkerTest, ADownloadKeepsItsStateOverACommit) {
  ASSERT_TRUE(worker_.StartLeg(0).ok());
  const std::shared_ptr<const Bytes> download = worker_.state();
  const Bytes before = *download;
  const RoundPlan plan = Train(1);
  ASSERT_TRUE(worker_.BeginAttempt(plan, 1).ok());
  ASSERT_TRUE(Add("a", TinyUpload(plan.message(), 1)).ok());
  ASSERT_TRUE(worker_.Close(plan, 1, 1).ok());
  worker_.Commit(Digest::Of(AsBytes(worker_.next_state())));
  EXPECT_EQ(*download, before);
  EXPECT_NE(*worker_.state(), before);
}

TEST_F(RoundWorkerTest, RefusesWorkWithoutALegOrAttempt) {
  ASSERT_TRUE(worker_.StartLeg(0).ok());
  const RoundPlan plan = Train(1);
  EXPECT_EQ(Add("a", {}).error().code(), ErrorCode::kFailedPrecondition);
  EXPECT_EQ(worker_.Close(plan, 0, 0).error().code(), ErrorCode::kFailedPrecondition);
  RoundWorker fresh(legs_, BuiltinServer(), 3);
  EXPECT_EQ(fresh.BeginAttempt(plan, 1).error().code(), ErrorCode::kFailedPrecondition);
}

TEST_F(RoundWorkerTest, AnUnknownOptimizerIsAnError) {
  legs_[0].optimizer.set_name("newton");
  EXPECT_FALSE(worker_.StartLeg(0).ok());
}

}  // namespace
}  // namespace fedmeta
