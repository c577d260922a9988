#include "fedmeta/coordinator/live_coordinator.h"

#include <array>

#include "engine_harness.h"
#include "fake_run.h"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fedmeta/protocol/version.h"
#include "fedmeta/v1/offer.pb.h"

namespace fedmeta {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::Each;
using ::testing::FloatEq;
using ::testing::HasSubstr;
using ::testing::Key;
using ::testing::StartsWith;

/// Three that train: their mean update is 3.
struct Sites {
  explicit Sites(LiveCoordinator& coordinator)
      : a(coordinator, {.name = "a", .update = 1}),
        b(coordinator, {.name = "b", .update = 2}),
        c(coordinator, {.name = "c", .update = 6}) {}
  std::array<FakeClient*, 3> all() { return {&a, &b, &c}; }
  FakeClient a, b, c;
};

class LiveCoordinatorTest : public ::testing::Test {
 protected:
  LiveCoordinatorTest() : experiment_(DemoExperiment(3, 3, 2)) {
    experiment_.mutable_data()->set_name("numbers");
    LoseAfter(std::chrono::seconds(60));
  }

  void LoseAfter(Duration duration) {
    auto& lost_after = *experiment_.mutable_federation()->mutable_lost_after();
    lost_after.set_seconds(duration.count() / 1000);
    lost_after.set_nanos(static_cast<std::int32_t>(duration.count() % 1000) * 1'000'000);
  }

  LiveCoordinator& Start() {
    v1::Limits limits;
    limits.set_connections(10);
    limits.set_model_mib(1);
    limits.set_staging_slots(2);
    coordinator_ = Create(limits, TinyLeg("maml"));
    coordinator_->Start();
    return *coordinator_;
  }

  std::unique_ptr<LiveCoordinator> Create(const v1::Limits& limits, Leg leg) {
    return LiveCoordinator::Create({.experiment = experiment_,
                                    .limits = limits,
                                    .legs = {std::move(leg)},
                                    .registry = BuiltinServer()},
                                   OpenRun(*store_, ExperimentId("demo")).value(), *store_,
                                   observer_, clock_, *logger_)
        .value();
  }

  v1::Experiment experiment_;
  std::unique_ptr<RoundStore> store_ = MakeMemoryStore();
  RecordingObserver observer_;
  SystemClock clock_;
  std::unique_ptr<Logger> logger_ = MakeNullLogger();
  std::unique_ptr<LiveCoordinator> coordinator_;
};

TEST_F(LiveCoordinatorTest, RunsThreeClientsToTheEnd) {
  LiveCoordinator& coordinator = Start();
  Sites sites(coordinator);
  const Result<RunSummary> summary = coordinator.Wait(10000);
  ASSERT_TRUE(summary.ok()) << summary.error().message();
  EXPECT_EQ(summary->status, RunStatus::kCompleted);
  EXPECT_EQ(summary->rounds, 3U);
  EXPECT_EQ(summary->reports, 9U);
  EXPECT_EQ(summary->dropped, 0U);
  // Three rounds, each subtracts the mean (1 + 2 + 6) / 3 = 3.
  EXPECT_THAT(observer_.checkpoint("final"), Each(FloatEq(-9)));
  EXPECT_THAT(observer_.metadata("final"),
              AllOf(Contains(Key("tuned")), Contains(Key("assignment")), Contains(Key("layout"))));
  for (FakeClient* client : sites.all()) {
    client->Wait();
    EXPECT_TRUE(client->told_all_done());
    EXPECT_FALSE(client->told_failed());
    EXPECT_EQ(client->counted(), 3U);
  }
  EXPECT_EQ(observer_.lines().back(), "finished 0");
}

TEST_F(LiveCoordinatorTest, ClosesARoundWithoutTheClientThatDisappeared) {
  LoseAfter(Duration(1500));
  LiveCoordinator& coordinator = Start();
  FakeClient a(coordinator, {.name = "a", .update = 1});
  FakeClient b(coordinator, {.name = "b", .update = 2});
  FakeClient c(coordinator, {.name = "c", .update = 6, .on_plan = [](const v1::RoundPlan& plan) {
                               return plan.key().round() < 2;
                             }});
  const Result<RunSummary> summary = coordinator.Wait(10000);
  ASSERT_TRUE(summary.ok()) << summary.error().message();
  EXPECT_EQ(summary->rounds, 3U);
  EXPECT_THAT(observer_.lines(), Contains("round maml 2.1 2 reported dropped c (lost)"));
  EXPECT_THAT(observer_.lines(), Contains("round maml 3.1 2 reported"));
  EXPECT_THAT(observer_.lines(), Contains(StartsWith("note c lost: silent")));
  // 3, then twice the mean of those who remained, 1.5.
  EXPECT_THAT(observer_.checkpoint("final"), Each(FloatEq(-6)));
}

TEST_F(LiveCoordinatorTest, LetsALostClientComeBack) {
  LoseAfter(Duration(1500));
  LiveCoordinator& coordinator = Start();
  FakeClient a(coordinator, {.name = "a", .update = 1});
  FakeClient b(coordinator, {.name = "b", .update = 2, .on_plan = [&](const v1::RoundPlan& plan) {
                               // Round 3 waits until c is back.
                               if (plan.key().round() == 3) observer_.WaitFor("note c is back");
                               return true;
                             }});
  FakeClient c(coordinator, {.name = "c", .update = 6, .on_plan = [](const v1::RoundPlan& plan) {
                               return plan.key().round() < 2;
                             }});
  c.Wait();
  FakeClient again(coordinator, {.name = "c", .update = 6});
  const Result<RunSummary> summary = coordinator.Wait(10000);
  ASSERT_TRUE(summary.ok()) << summary.error().message();
  EXPECT_EQ(summary->rounds, 3U);
  EXPECT_THAT(observer_.lines(), Contains("note c is back"));
  again.Wait();
  EXPECT_TRUE(again.told_all_done());
}

TEST_F(LiveCoordinatorTest, CancelTellsClientsAndWritesASummary) {
  LiveCoordinator& coordinator = Start();
  FakeClient a(coordinator, {.name = "a"});
  FakeClient b(coordinator, {.name = "b"});
  observer_.WaitFor("note b joined");  // two of three: round 1 waits
  coordinator.Cancel("SIGTERM", true);
  const Result<RunSummary> summary = coordinator.Wait(10000);
  ASSERT_TRUE(summary.ok()) << summary.error().message();
  EXPECT_EQ(summary->status, RunStatus::kInterrupted);
  EXPECT_EQ(summary->reason, "SIGTERM");
  EXPECT_EQ(observer_.lines().back(), "finished 3");
  a.Wait();
  EXPECT_TRUE(a.told_all_done());
}

TEST_F(LiveCoordinatorTest, AFullDiskEndsTheRunWithItsReason) {
  observer_.failing = "round maml 2";
  LiveCoordinator& coordinator = Start();
  FakeClient a(coordinator, {.name = "a"});
  FakeClient b(coordinator, {.name = "b"});
  FakeClient c(coordinator, {.name = "c"});
  const Result<RunSummary> summary = coordinator.Wait(10000);
  ASSERT_FALSE(summary.ok());
  EXPECT_THAT(summary.error().message(), HasSubstr("disk full"));
  EXPECT_EQ(ExitCode(summary.error()), 1);
  EXPECT_THAT(observer_.lines(), Contains("finished 1"));
  a.Wait();
  EXPECT_TRUE(a.told_failed());
}

TEST_F(LiveCoordinatorTest, RefusesAClientWithoutTheData) {
  LiveCoordinator& coordinator = Start();
  v1::ClientHello hello;
  *hello.mutable_version() = OwnVersion();
  (*hello.mutable_data())["letters"] = v1::ROLE_TRAIN;
  const auto welcome = Await<v1::Welcome>(
      [&](auto done) { coordinator.Join(ClientId("a"), hello, std::move(done)); });
  ASSERT_FALSE(welcome.ok());
  EXPECT_EQ(welcome.error().code(), ErrorCode::kInvalidArgument);
  EXPECT_THAT(welcome.error().message(), HasSubstr("numbers"));
}

v1::Report Declined(const std::string& rule, bool pending) {
  v1::Report report;
  report.mutable_declined()->set_rule(rule);
  report.mutable_declined()->set_pending(pending);
  return report;
}
v1::Report Ready() {
  v1::Report report;
  report.mutable_ready();
  return report;
}

TEST_F(LiveCoordinatorTest, WaitsForASiteThatHasToApprove) {
  LiveCoordinator& coordinator = Start();
  FakeClient a(coordinator, {.name = "a", .update = 1});
  FakeClient b(coordinator, {.name = "b", .update = 2});
  FakeClient c(
      coordinator,
      {.name = "c", .update = 6, .on_offer = [&](const auto& bytes, const auto& send) {
         v1::Offer offer;
         ASSERT_TRUE(offer.ParseFromString(bytes));
         EXPECT_EQ(offer.rounds(), 3U);
         EXPECT_EQ(offer.minimum_cohort(), 2U);
         ASSERT_EQ(offer.legs_size(), 1);
         const Digest assignment = Digest::FromBytes(offer.legs(0).assignment_hash()).value();
         EXPECT_TRUE(coordinator.FindBlob(ClientId("c"), assignment).ok()) << "before any plan";
         send(Declined("policy.approve", true));
         observer_.WaitFor("note waiting for c: policy.approve");
         send(Ready());
       }});
  const Result<RunSummary> summary = coordinator.Wait(10000);
  ASSERT_TRUE(summary.ok()) << summary.error().message();
  // The first round waited for all three.
  EXPECT_EQ(summary->reports, 9U);
  EXPECT_EQ(summary->dropped, 0U);
}

TEST_F(LiveCoordinatorTest, ASiteThatTakesNoPartIsAbsentAndHearsTheEnd) {
  experiment_.mutable_federation()->set_cohort(2);
  LiveCoordinator& coordinator = Start();
  FakeClient c(coordinator, {.name = "c", .on_offer = [&](const auto&, const auto& send) {
                               send(Declined("policy.allow.algorithms", false));
                             }});
  observer_.WaitFor("note without c: policy.allow.algorithms");
  FakeClient a(coordinator, {.name = "a", .update = 1});
  FakeClient b(coordinator, {.name = "b", .update = 2});
  const Result<RunSummary> summary = coordinator.Wait(10000);
  ASSERT_TRUE(summary.ok()) << summary.error().message();
  EXPECT_EQ(summary->reports, 6U);
  EXPECT_EQ(summary->dropped, 0U);
  c.Wait();
  EXPECT_TRUE(c.told_all_done());
  EXPECT_EQ(c.counted(), 0U);
}

TEST_F(LiveCoordinatorTest, WorkThatASiteDeclinesIsNoFailure) {
  LiveCoordinator& coordinator = Start();
  FakeClient a(coordinator, {.name = "a", .update = 1});
  FakeClient b(coordinator, {.name = "b", .update = 2});
  FakeClient c(coordinator, {.name = "c", .update = 6, .on_plan = [&](const v1::RoundPlan& plan) {
                               if (plan.key().round() != 2) return true;
                               v1::Report report = Declined("policy.epsilon_budget", false);
                               *report.mutable_key() = plan.key();
                               (void)Await<v1::Acknowledgement>([&](auto done) {
                                 coordinator.Send(ClientId("c"), report, std::move(done));
                               });
                               return true;
                             }});
  const Result<RunSummary> summary = coordinator.Wait(10000);
  ASSERT_TRUE(summary.ok()) << summary.error().message();
  EXPECT_THAT(observer_.lines(), Contains("round maml 2.1 2 reported dropped c (declined)"));
  EXPECT_EQ(summary->rounds, 3U);
}

TEST_F(LiveCoordinatorTest, TurnsAwayWhoIsNoParticipant) {
  experiment_.mutable_federation()->add_participants("a");
  LiveCoordinator& coordinator = Start();
  v1::ClientHello hello;
  *hello.mutable_version() = OwnVersion();
  (*hello.mutable_data())["numbers"] = v1::ROLE_TRAIN;
  const auto join = [&](const char* name) {
    return Await<v1::Welcome>(
        [&](auto done) { coordinator.Join(ClientId(name), hello, std::move(done)); });
  };
  EXPECT_TRUE(join("a").ok());
  const auto refused = join("b");
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code(), ErrorCode::kPermissionDenied);
  EXPECT_THAT(refused.error().message(), HasSubstr("federation.participants"));
}

TEST_F(LiveCoordinatorTest, AStateLargerThanTheLimitEndsTheRunAtOnce) {
  v1::Limits limits;
  limits.set_connections(10);
  limits.set_model_mib(1);
  limits.set_staging_slots(1);
  coordinator_ = Create(limits, TinyLeg("maml", 300'000));
  coordinator_->Start();
  const Result<RunSummary> summary = coordinator_->Wait(0);
  ASSERT_FALSE(summary.ok());
  EXPECT_THAT(summary.error().message(), HasSubstr("limits.model_mib"));
}

TEST_F(LiveCoordinatorTest, AnotherOneOnTheSameStoreGoesOn) {
  {
    LiveCoordinator& coordinator = Start();
    FakeClient a(coordinator, {.name = "a", .update = 1});
    FakeClient b(coordinator, {.name = "b", .update = 2});
    // Leaves in round 2, so that the first coordinator is stopped with that round open.
    FakeClient c(coordinator, {.name = "c", .update = 6, .on_plan = [&](const v1::RoundPlan& plan) {
                                 if (plan.key().round() == 2) coordinator.Cancel("test", true);
                                 return plan.key().round() < 2;
                               }});
    ASSERT_EQ(coordinator.Wait(0)->status, RunStatus::kInterrupted);
  }
  coordinator_.reset();  // once its clients have heard
  LiveCoordinator& coordinator = Start();
  Sites sites(coordinator);
  const Result<RunSummary> summary = coordinator.Wait(10000);
  ASSERT_TRUE(summary.ok()) << summary.error().message();
  EXPECT_EQ(summary->status, RunStatus::kCompleted);
  EXPECT_EQ(summary->rounds, 3U);
  EXPECT_THAT(observer_.checkpoint("final"), Each(FloatEq(-9)));
  EXPECT_THAT(observer_.lines(), Contains("history ends maml 1"));
  EXPECT_EQ(sites.a.counted(), 2U);
}

TEST_F(LiveCoordinatorTest, OneThatFindsTheRunCompletedTellsTheClientsThatComeBack) {
  {
    LiveCoordinator& coordinator = Start();
    Sites sites(coordinator);
    ASSERT_EQ(coordinator.Wait(10000)->status, RunStatus::kCompleted);
  }
  // As if it had been killed just before they heard.
  coordinator_.reset();
  LiveCoordinator& coordinator = Start();
  Sites sites(coordinator);
  ASSERT_EQ(coordinator.Wait(60000)->status, RunStatus::kCompleted);
  for (FakeClient* client : sites.all()) {
    client->Wait();
    EXPECT_TRUE(client->told_all_done());
    EXPECT_EQ(client->counted(), 0U);
  }
}

}  // namespace
}  // namespace fedmeta
