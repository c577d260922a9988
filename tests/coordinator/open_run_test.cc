// What a process finds of an attempt that the one before it had charged.
#include "engine_harness.h"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fedmeta/coordinator/charged_attempt.h"
#include "fedmeta/coordinator/plan_factory.h"
#include "fedmeta/coordinator/round_writer.h"

namespace fedmeta {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class OpenRunTest : public ::testing::Test {
 protected:
  OpenRunTest() { EXPECT_TRUE(store_->BeginAttempt(lease_, plan_).ok()); }

  void Charge(const std::string& receipts) {
    RoundKey session = plan_.key();
    session.session = 3;
    EXPECT_TRUE(store_
                    ->ChargePrivacy(lease_, {.session = session,
                                             .masked_sum = Put("masked sum"),
                                             .receipts = Put(receipts)})
                    .ok());
  }
  BlobRef Put(const std::string& bytes) { return store_->PutBlob(AsBytes(bytes)).value(); }
  std::string Charged() const {
    SessionCharge charge{.key = plan_.key(), .group = 2, .snapshot = "snapshot"};
    charge.attempt.cohort = {ClientId("a"), ClientId("b")};
    charge.attempt.on_training_sites = true;
    charge.minimum = 4;
    charge.population = 9;
    return SerializeCharge(plan_, charge);
  }

  const RoundPlan plan_ = PlanFactory(DemoExperiment(3, 5, 3), DemoLeg("maml"))
                              .Train(1, 1, std::nullopt, Digest::Of("s"))
                              .value();
  const ExperimentId run_{"demo"};
  const std::unique_ptr<RoundStore> store_ = MakeMemoryStore();
  const Lease lease_ = store_->Acquire(run_).value();
};

TEST_F(OpenRunTest, WhatWasChargedIsGoneOnWith) {
  Charge(Charged());
  OpenedRun opened = OpenRun(*store_, run_).value();
  EXPECT_TRUE(opened.history.empty());
  EXPECT_EQ(opened.charged, 1U) << "never less than what may have come out";
  ASSERT_TRUE(opened.interrupted);
  EXPECT_EQ(opened.interrupted->plan.bytes(), plan_.bytes());
  EXPECT_THAT(opened.interrupted->attempt.cohort, SizeIs(2));
  EXPECT_TRUE(opened.interrupted->attempt.on_training_sites);
  EXPECT_EQ(opened.interrupted->minimum, 4U);
  EXPECT_EQ(opened.interrupted->population, 9U);
  ASSERT_THAT(opened.interrupted->groups, SizeIs(1));
  EXPECT_EQ(opened.interrupted->groups[0].group, 2U);
  EXPECT_EQ(opened.interrupted->groups[0].session, 3U);
  EXPECT_EQ(opened.interrupted->groups[0].snapshot, "snapshot");
  EXPECT_THAT(store_->OpenAttempts(run_).value(), SizeIs(1));
  // And again, should that process end too.
  EXPECT_TRUE(OpenRun(*store_, run_).value().interrupted);
}

TEST_F(OpenRunTest, ASimulationEndsIt) {
  Charge(Charged());
  OpenedRun opened = OpenRun(*store_, run_, Interrupted::kEnd).value();
  EXPECT_FALSE(opened.interrupted);
  ASSERT_EQ(opened.history.size(), 1U);
  const AttemptRecord ended = *opened.history.Next(plan_.key().experiment);
  EXPECT_TRUE(ended.cut_off);
  EXPECT_FALSE(ended.spent);
  EXPECT_EQ(opened.charged, 1U);
}

TEST_F(OpenRunTest, WhatWasNotChargedIsCutOff) {
  OpenedRun opened = OpenRun(*store_, run_).value();
  EXPECT_FALSE(opened.interrupted);
  ASSERT_EQ(opened.history.size(), 1U);
  const AttemptRecord ended = *opened.history.Next(plan_.key().experiment);
  EXPECT_FALSE(ended.spent);
}

TEST_F(OpenRunTest, AChargeThatCannotBeReadAnyMoreIsSpent) {
  Charge("garbage");
  OpenedRun opened = OpenRun(*store_, run_).value();
  EXPECT_FALSE(opened.interrupted);
  ASSERT_EQ(opened.history.size(), 1U);
  const AttemptRecord ended = *opened.history.Next(plan_.key().experiment);
  EXPECT_TRUE(ended.spent);
  EXPECT_THAT(ended.reason, HasSubstr("is damaged"));
  EXPECT_EQ(opened.charged, 1U);
}

}  // namespace
}  // namespace fedmeta
