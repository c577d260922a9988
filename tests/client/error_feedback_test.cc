#include "fedmeta/client/error_feedback.h"

#include <cmath>

#include "client_fixtures.h"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fedmeta/privacy/contribution_codec.h"
#include "fedmeta/privacy/ring_codec.h"
#include "fedmeta/privacy/secure_terms.h"
#include "fedmeta/privacy/update_compression.h"

namespace fedmeta {
namespace {

TEST(KeptWithResidualTest, ComesApartAsItWasPutTogether) {
  const std::vector<float> residual = {1.5F, -2, 0};
  const Bytes learner = {std::byte{7}, std::byte{8}};
  const Bytes kept = JoinKept(residual, learner);
  const KeptWithResidual split = SplitKept(kept, 3).value();
  EXPECT_EQ(split.residual, residual);
  EXPECT_EQ(Bytes(split.learner.begin(), split.learner.end()), learner);
  const KeptWithResidual first = SplitKept({}, 3).value();
  EXPECT_THAT(first.residual, testing::Each(0));
  EXPECT_TRUE(first.learner.empty());
  EXPECT_EQ(SplitKept(learner, 3).error().code(), ErrorCode::kDataLoss);
}

/// A client that sends a fifth of its updates, over rounds.
class ErrorFeedbackTest : public testing::Test {
 protected:
  v1::Assignment Assignment() const {
    v1::Assignment assignment = MakeAssignment(Maml(), EpisodicTasks(3, 1, 2), 3);
    v1::CompressionTerms& terms = *assignment.mutable_compression();
    terms.set_fraction(0.2);
    terms.set_error_feedback(true);
    terms.set_bits(32);
    return assignment;
  }
  v1::Assignment Whole() const {
    v1::Assignment assignment = Assignment();
    assignment.clear_compression();
    return assignment;
  }
  static RoundPlan Plan(const TestLeg& leg, std::uint64_t round) {
    v1::RoundPlan plan;
    plan.mutable_key()->set_experiment("clouds");
    plan.mutable_key()->set_purpose(v1::PURPOSE_TRAIN);
    plan.mutable_key()->set_round(round);
    plan.mutable_key()->set_attempt(1);
    plan.set_assignment_hash(Digest::Of("a").bytes());
    plan.set_assignment_size(1);
    plan.set_state_hash(Digest::Of("s").bytes());
    plan.set_state_coordinates(leg.state.size());
    plan.set_maximum_weight(1);
    plan.mutable_train();
    return RoundPlan::Create(plan).value();
  }
  ClientResult Execute(const TestLeg& leg, std::uint64_t round, std::span<const std::byte> kept,
                       std::span<const float> state) const {
    LocalClient self = leg.self();
    self.kept = kept;
    auto results = ExecutePlan(Plan(leg, round), *leg.runtime, state, {&self, 1}, *pool_);
    EXPECT_TRUE(results.front().ok()) << results.front().error().message();
    return std::move(results.front()).value();
  }
  static std::vector<float> UpdateOf(const StateLayout& layout, const Bytes& payload) {
    return ContributionCodec::Create({.layout = &layout}).value().FromWire(payload)->update;
  }

  const OpenedSource source_ = Clouds(4, 8);
  const std::unique_ptr<WorkerPool> pool_ = MakeLearningPool(1);
};

// A round takes what was kept into its update and keeps the rest.
TEST_F(ErrorFeedbackTest, WhatIsSentAndWhatIsKeptIsTheUpdate) {
  const TestLeg small(Assignment(), source_), whole(Whole(), source_);
  Bytes kept;
  std::vector<float> residual(small.state.size());
  for (std::uint64_t round = 1; round <= 4; ++round) {
    const std::vector<float> update =
        UpdateOf(whole.runtime->layout, Execute(whole, round, {}, whole.state).payload);
    const ClientResult result = Execute(small, round, kept, small.state);
    const UpdateCompression compression =
        UpdateCompression::Create({.terms = small.runtime->assignment.compression(),
                                   .layout = &small.runtime->layout,
                                   .seed = small.runtime->assignment.seed(),
                                   .round = round})
            .value();
    EXPECT_EQ(compression.exchanged().size(),
              std::ceil(0.2 * static_cast<double>(residual.size())));
    const std::vector<float> sent = compression.Compress(update, residual);
    EXPECT_EQ(UpdateOf(compression.exchanged(), result.payload), sent);
    EXPECT_EQ(SplitKept(result.next_kept, residual.size())->residual, residual);
    kept = result.next_kept;
  }
  EXPECT_THAT(residual, testing::Contains(testing::Ne(0.0F)));
}

// Counted under secure aggregation, as zeros: what it kept before must not be lost.
TEST_F(ErrorFeedbackTest, AFailedUpdateChangesNothingThatIsKept) {
  v1::Assignment assignment = Assignment();
  v1::SecureTerms& secure = *assignment.mutable_secure();
  secure.set_ring_bits(16);
  secure.set_clip(10);
  secure.set_metric_bound(10);
  secure.set_group_size(3);
  const TestLeg leg(assignment, source_);
  const Bytes kept = Execute(leg, 1, {}, leg.state).next_kept;
  ASSERT_FALSE(kept.empty());
  const std::vector<float> broken(leg.state.size(), std::nanf(""));
  const ClientResult failed = Execute(leg, 2, kept, broken);
  EXPECT_TRUE(failed.failure.has_value());
  EXPECT_EQ(failed.next_kept, kept);
  const UpdateCompression compression =
      UpdateCompression::Create({.terms = assignment.compression(),
                                 .layout = &leg.runtime->layout,
                                 .seed = assignment.seed(),
                                 .round = 2})
          .value();
  const RingCodec codec = SecureCodec(secure, &compression.exchanged(), 1).value();
  EXPECT_EQ(failed.encoded->wire_size(), codec.Zero().wire_size());
  RingVector sum = *failed.encoded;
  ASSERT_TRUE(sum.Add(*Execute(leg, 2, kept, leg.state).encoded).ok());
  EXPECT_EQ(codec.Decode(sum, 2)->failures, 1);
}

TEST_F(ErrorFeedbackTest, AHostileAssignmentIsRefused) {
  for (const double fraction : {0.0, 2.0}) {
    v1::Assignment assignment = Assignment();
    assignment.mutable_compression()->set_fraction(fraction);
    const auto tasks =
        MakeTaskGenerator(TestRegistries().data, assignment.tasks(), source_, nullptr, "site-1", 1);
    const auto leg = LegRuntime::Create(TestRegistries(), assignment.SerializeAsString(), **tasks);
    ASSERT_FALSE(leg.ok());
    EXPECT_THAT(leg.error().message(), testing::HasSubstr("fraction must be > 0 and <= 1"));
  }
}

}  // namespace
}  // namespace fedmeta
