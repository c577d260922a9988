// Differential privacy as the engine and the store see it: what is charged, when, and when it ends.
#include "engine_harness.h"
#include "fake_run.h"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fedmeta/coordinator/experiment_engine.h"
#include "fedmeta/coordinator/plan_factory.h"
#include "fedmeta/coordinator/round_worker.h"
#include "fedmeta/coordinator/round_writer.h"
#include "fedmeta/privacy/accountant.h"

namespace fedmeta {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

double Cost(std::uint64_t releases) {
  return SpentBy(Accountant::kZeroConcentrated, {.noise_multiplier = 2}, releases, 1e-6)
      .value()
      .epsilon;
}

/// Five rounds of up to three clients, an evaluation every second round; the budget allows
/// `releases`.
v1::Experiment PrivateExperiment(std::uint64_t releases) {
  v1::Experiment experiment = DemoExperiment(5, 3, 2);
  experiment.mutable_evaluation()->set_every(2);
  v1::DifferentialPrivacy& keys = *experiment.mutable_privacy()->mutable_differential_privacy();
  keys.set_mode("central");
  keys.set_clip(1);
  keys.set_noise_multiplier(2);
  keys.set_delta(1e-6);
  keys.mutable_budget()->set_epsilon(Cost(releases) + 1e-9);
  return experiment;
}

void JoinAll(EngineHarness& harness) {
  for (const char* client : {"a", "b", "c"}) harness.Join(client);
  harness.Join("h", v1::ROLE_HOLDOUT);
}

/// "maml 1", "validate 1", ...: attempts that were carried out.
std::vector<std::string> Steps(const EngineHarness& harness) {
  std::vector<std::string> steps;
  for (const AttemptRecord& record : harness.journal) {
    const std::string leg = record.key.experiment.value().substr(5);
    const bool trains = record.key.purpose == Purpose::kTrain;
    steps.push_back((trains                        ? leg
                     : record.key.attempt % 2 == 1 ? "validate"
                                                   : "test") +
                    std::string(" ") + std::to_string(record.key.round));
  }
  return steps;
}
std::vector<double> Epsilons(const EngineHarness& harness) {
  std::vector<double> epsilons;
  for (const AttemptRecord& record : harness.journal) {
    if (record.epsilon) epsilons.push_back(*record.epsilon);
  }
  return epsilons;
}

TEST(PrivacyBudgetTest, EachCommittedRoundIsChargedWithTheWholeCostSoFar) {
  EngineHarness harness(PrivateExperiment(10), {DemoLeg("maml"), DemoLeg("fedavg", false)});
  JoinAll(harness);
  harness.Run();
  ASSERT_NE(harness.finish(), nullptr);
  EXPECT_EQ(harness.finish()->summary.status, RunStatus::kCompleted);
  std::vector<double> expected;
  for (std::uint64_t n = 1; n <= 10; ++n) expected.push_back(Cost(n));  // both legs
  EXPECT_EQ(Epsilons(harness), expected);
  const PrivacySummary& privacy = *harness.finish()->summary.privacy;
  EXPECT_EQ(privacy.epsilon, Cost(10));
  EXPECT_EQ(privacy.releases, 10U);
  EXPECT_EQ(privacy.unit, "client");
  std::size_t lines = 0;
  for (const Instruction& instruction : harness.instructions) {
    if (const auto* report = std::get_if<ReportRound>(&instruction)) {
      EXPECT_EQ(report->record.epsilon, Cost(++lines));
    }
  }
  EXPECT_EQ(lines, 10U);
}

TEST(PrivacyBudgetTest, EndsBeforeTheReleaseThatWouldPassItAndMeasuresWhatThereIs) {
  EngineHarness harness(PrivateExperiment(3), {DemoLeg("maml"), DemoLeg("fedavg", false),
                                               DemoLeg("local", false, false)});
  JoinAll(harness);
  harness.Run();
  ASSERT_NE(harness.finish(), nullptr);
  // Round 3 is evaluated although only every second is; local releases nothing.
  EXPECT_THAT(Steps(harness), ElementsAre("maml 1", "maml 2", "validate 2", "test 2", "maml 3",
                                          "validate 3", "test 3", "validate 0", "test 0"));
  const Finish& finish = *harness.finish();
  EXPECT_EQ(finish.summary.status, RunStatus::kBudgetSpent);
  EXPECT_EQ(finish.summary.rounds, 3U);
  EXPECT_EQ(finish.summary.privacy->epsilon, Cost(3));
  EXPECT_EQ(finish.status.error().code(), ErrorCode::kPermissionDenied);
  EXPECT_THAT(finish.summary.reason, HasSubstr("the privacy budget is spent: 3 releases"));
  EXPECT_THAT(harness.LinesWith("checkpoint"), SizeIs(testing::Ge(3U))) << "best and final, too";
}

TEST(PrivacyBudgetTest, WhatIsMeasuredAlreadyIsNotMeasuredAgain) {
  EngineHarness harness(PrivateExperiment(2), {DemoLeg("maml")});
  JoinAll(harness);
  harness.Run();
  EXPECT_THAT(Steps(harness), ElementsAre("maml 1", "maml 2", "validate 2", "test 2"));
  EXPECT_EQ(harness.finish()->summary.status, RunStatus::kBudgetSpent);
}

TEST(PrivacyBudgetTest, WhatSitesTellAfterARestoreIsSpent) {
  EngineHarness harness(PrivateExperiment(4), {DemoLeg("maml")});
  harness.engine().ChargeFurther(2);
  JoinAll(harness);
  harness.Run();
  EXPECT_THAT(Epsilons(harness), ElementsAre(Cost(3), Cost(4)));
  EXPECT_EQ(harness.finish()->summary.status, RunStatus::kBudgetSpent);
  EXPECT_EQ(harness.finish()->summary.privacy->releases, 4U);
}

TEST(PrivacyBudgetTest, AResumedRunPaysForWhatWasChargedAndLost) {
  EngineHarness before(PrivateExperiment(4), {DemoLeg("maml")});
  JoinAll(before);
  before.on_instruction = [&](const Instruction& instruction) {
    const auto* persist = std::get_if<Persist>(&instruction);
    // The process ends between the charge and the commit of round 3.
    if (persist != nullptr && persist->cost && persist->plan.key().round == 3) {
      before.failing = {Record::kCommitRound};
    }
  };
  before.Run();
  AttemptRecord cut_off;
  cut_off.key = *before.open;
  cut_off.cut_off = true;
  std::vector<AttemptRecord> history = before.journal;
  history.push_back(cut_off);

  EngineHarness after(PrivateExperiment(4), {DemoLeg("maml")});
  ASSERT_TRUE(after.engine().Restore(HistoryOf(history), {}, /*charged=*/3).ok());
  JoinAll(after);
  after.Run();
  EXPECT_THAT(Steps(after), ElementsAre("maml 3", "validate 3", "test 3"));
  EXPECT_THAT(Epsilons(after), ElementsAre(Cost(4))) << "three before, not two";
  EXPECT_EQ(after.finish()->summary.status, RunStatus::kBudgetSpent);
}

TEST(PrivacyBudgetTest, ARunWhoseBudgetIsSpentEndsAtOnceWhenItIsResumed) {
  EngineHarness before(PrivateExperiment(2), {DemoLeg("maml")});
  JoinAll(before);
  before.Run();
  EngineHarness after(PrivateExperiment(2), {DemoLeg("maml")});
  ASSERT_TRUE(after.engine().Restore(HistoryOf(before.journal), {}, 2).ok());
  JoinAll(after);
  after.Run();
  EXPECT_THAT(after.journal, SizeIs(0));
  EXPECT_EQ(after.finish()->summary.status, RunStatus::kBudgetSpent);
  EXPECT_EQ(after.finish()->summary.rounds, 2U);
}

/// A worker and a store for one private leg of 64 zeros.
class PrivateRoundTest : public ::testing::Test {
 protected:
  PrivateRoundTest() {
    v1::Assignment assignment;
    assignment.ParseFromString(legs_[0].assignment);
    v1::PrivacyTerms& terms = *assignment.mutable_differential_privacy();
    terms.set_mode("central");
    terms.set_clip(1);
    terms.set_noise_multiplier(2);
    legs_[0].assignment = assignment.SerializeAsString();
    EXPECT_TRUE(worker_.StartLeg(0).ok());
  }
  RoundPlan Plan(std::uint32_t attempt, std::uint64_t round = 1) {
    return PlanFactory(DemoExperiment(3, 2, 1), FactsOf(legs_[0]))
        .Train(round, attempt, std::nullopt, worker_.state_hash())
        .value();
  }
  /// The next state after two clients sent 64 values each.
  std::vector<float> Closed(const RoundPlan& plan, float value) {
    EXPECT_TRUE(worker_.BeginAttempt(plan, 2).ok());
    for (const char* client : {"a", "b"}) {
      EXPECT_TRUE(
          worker_.AddUpload(ClientId(client), false, TinyUpload(plan.message(), value)).ok());
    }
    const Result<RoundResult> result = worker_.Close(plan, 2, 2);
    EXPECT_TRUE(result.ok()) << result.error().message();
    return {worker_.next_state().begin(), worker_.next_state().end()};
  }

  std::vector<Leg> legs_ = {TinyLeg("maml", 64)};
  RoundWorker worker_{legs_, BuiltinServer(), 3};
};

TEST_F(PrivateRoundTest, TheNextStateHasNoiseOfTheAccountedWidthAndNeverTheSame) {
  double squares = 0;
  constexpr int kReleases = 200;
  std::vector<float> last;
  for (int i = 1; i <= kReleases; ++i) {
    const std::vector<float> next = Closed(Plan(static_cast<std::uint32_t>(i)), 0);
    EXPECT_NE(next, last);
    for (const float value : next) squares += static_cast<double>(value) * value;
    last = next;
    worker_.Abandon();
  }
  // Noise multiplier 2 x clip 1 on the sum, halved by the mean over two clients: 1. Six standard
  // errors of a standard deviation.
  const double count = 64 * kReleases;
  EXPECT_NEAR(std::sqrt(squares / count), 1, 6 / std::sqrt(2 * count));
}

TEST_F(PrivateRoundTest, WhatAClientAddsIsCutToTheClip) {
  // 64 values of 1000: a norm of 8000; cut to 1 each is 1/8, whatever both send.
  double sum = 0;
  constexpr int kReleases = 200;
  for (int i = 1; i <= kReleases; ++i) {
    for (const float value : Closed(Plan(static_cast<std::uint32_t>(i)), 1000)) {
      sum -= static_cast<double>(value);  // the server subtracts
    }
    worker_.Abandon();
  }
  const double count = 64 * kReleases;
  EXPECT_NEAR(sum / count, 1.0 / 8, 6 / std::sqrt(count));
}

TEST_F(PrivateRoundTest, TheChargeIsInTheStoreBeforeTheRoundAndStaysIfThatFails) {
  const std::unique_ptr<RoundStore> store = MakeMemoryStore();
  const ExperimentId run("demo");
  const Lease lease = store->Acquire(run).value();
  RoundWriter writer(*store, lease, worker_);
  const RoundPlan plan = Plan(1);
  ASSERT_TRUE(store->BeginAttempt(lease, plan).ok());
  Closed(plan, 0);
  AttemptRecord outcome;
  outcome.key = plan.key();
  outcome.committed = true;
  Persist persist{.ticket = 1,
                  .record = Record::kCommitRound,
                  .plan = plan,
                  .cohort = 2,
                  .outcome = outcome,
                  .presence = {},
                  .cost = PrivacyCost{.epsilon = 0.5, .delta = 1e-6}};
  ASSERT_TRUE(writer.Write(persist).ok());
  ASSERT_THAT(store->PrivacyCharges(run).value(), SizeIs(1));
  EXPECT_EQ(store->PrivacyCharges(run).value().front().epsilon, 0.5);

  // A second round on the same parent is refused by the store, after it was charged.
  const RoundPlan again = Plan(1, 2);
  ASSERT_TRUE(store->BeginAttempt(lease, again).ok());
  persist.plan = again;
  persist.outcome->key = again.key();
  EXPECT_FALSE(writer.Write(persist).ok());
  EXPECT_THAT(store->PrivacyCharges(run).value(), SizeIs(2));
  EXPECT_EQ(OpenRun(*store, run).value().charged, 2U);
}

}  // namespace
}  // namespace fedmeta
