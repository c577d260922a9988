#include "engine_harness.h"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fedmeta/coordinator/plan_factory.h"
#include "fedmeta/coordinator/round_store.h"

namespace fedmeta {
namespace {

class MemoryStoreTest : public ::testing::Test {
 protected:
  RoundPlan Plan(std::uint64_t round, std::uint32_t attempt,
                 const std::optional<RoundKey>& parent) const {
    return plans_.Train(round, attempt, parent, Digest::Of("s")).value();
  }
  Status Commit(const RoundPlan& plan, const std::string& state) {
    CommittedRound round;
    round.key = plan.key();
    round.state = store_->PutBlob(AsBytes(state)).value();
    round.optimizer_state = store_->PutBlob(AsBytes("moments of " + state)).value();
    return store_->CommitRound(lease_, plan, round, "done");
  }

  PlanFactory plans_{DemoExperiment(3, 3, 2), DemoLeg("maml")};
  std::unique_ptr<RoundStore> store_ = MakeMemoryStore();
  Lease lease_ = store_->Acquire(ExperimentId("demo")).value();
};

TEST_F(MemoryStoreTest, AnAttemptNumberIsUsedOnce) {
  EXPECT_TRUE(store_->BeginAttempt(lease_, Plan(1, 1, {})).ok());
  const Status again = store_->BeginAttempt(lease_, Plan(1, 1, {}));
  ASSERT_FALSE(again.ok());
  EXPECT_EQ(again.error().code(), ErrorCode::kAlreadyExists);
  EXPECT_TRUE(store_->BeginAttempt(lease_, Plan(1, 2, {})).ok());
}

TEST_F(MemoryStoreTest, CommitsOnTopOfTheHeadOnly) {
  const RoundPlan first = Plan(1, 1, {});
  ASSERT_TRUE(store_->BeginAttempt(lease_, first).ok());
  ASSERT_TRUE(Commit(first, "one").ok());
  EXPECT_EQ(store_->Head(plans_.experiment_id()).value()->key, first.key());

  const RoundPlan orphan = Plan(2, 1, {});  // names no parent
  ASSERT_TRUE(store_->BeginAttempt(lease_, orphan).ok());
  const Status refused = Commit(orphan, "two");
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code(), ErrorCode::kFailedPrecondition);
  EXPECT_EQ(store_->Head(plans_.experiment_id()).value()->key, first.key());

  const RoundPlan second = Plan(2, 2, first.key());
  ASSERT_TRUE(store_->BeginAttempt(lease_, second).ok());
  EXPECT_TRUE(Commit(second, "two").ok());
  EXPECT_EQ(store_->Head(plans_.experiment_id()).value()->key, second.key());
}

TEST_F(MemoryStoreTest, CommitsOnlyWhatWasBegun) {
  const Status refused = Commit(Plan(1, 1, {}), "one");
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code(), ErrorCode::kFailedPrecondition);
}

TEST_F(MemoryStoreTest, ATakenOverLeaseIsFenced) {
  const Lease newer = store_->Acquire(ExperimentId("demo")).value();
  EXPECT_GT(newer.epoch, lease_.epoch);
  const Status refused = store_->BeginAttempt(lease_, Plan(1, 1, {}));
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code(), ErrorCode::kFailedPrecondition);
  EXPECT_TRUE(store_->BeginAttempt(newer, Plan(1, 1, {})).ok());
}

TEST_F(MemoryStoreTest, ALeaseIsForItsOwnRun) {
  const Lease other = store_->Acquire(ExperimentId("dem")).value();
  EXPECT_FALSE(store_->BeginAttempt(other, Plan(1, 1, {})).ok());
}

TEST_F(MemoryStoreTest, KeepsTheHeadsBlobsAndForgetsOlderOnes) {
  const RoundPlan first = Plan(1, 1, {});
  const RoundPlan second = Plan(2, 1, first.key());
  ASSERT_TRUE(store_->BeginAttempt(lease_, first).ok());
  ASSERT_TRUE(store_->BeginAttempt(lease_, second).ok());
  ASSERT_TRUE(Commit(first, "one").ok());
  const BlobRef old = store_->Head(plans_.experiment_id()).value()->state;
  EXPECT_EQ(AsText(store_->GetBlob(old).value()), "one");
  ASSERT_TRUE(Commit(second, "two").ok());
  EXPECT_EQ(store_->GetBlob(old).error().code(), ErrorCode::kNotFound);
  EXPECT_EQ(AsText(store_->GetBlob(store_->Head(plans_.experiment_id()).value()->state).value()),
            "two");
}

TEST_F(MemoryStoreTest, AnUnknownExperimentHasNoHead) {
  EXPECT_FALSE(store_->Head(ExperimentId("demo/other")).value().has_value());
}

}  // namespace
}  // namespace fedmeta
