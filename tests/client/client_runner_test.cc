#include "fedmeta/client/client_runner.h"

#include <thread>
#include <utility>

#include "client_fixtures.h"
#include "fake_link.h"
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "fedmeta/core/file.h"
#include "fedmeta/privacy/contribution_codec.h"
#include "fedmeta/protocol/round_plan.h"
#include "fedmeta/site/policy.h"
#include "fedmeta/site/site_control.h"

namespace fedmeta {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

/// A runner of site-1 over Clouds, against a coordinator that says what the test queues.
class ClientRunnerTest : public testing::Test {
 protected:
  ClientRunnerTest()
      : source_(Clouds(4, 8)),
        assignment_(MakeAssignment(Maml(), EpisodicTasks(3, 1, 2), 3)),
        leg_(assignment_, source_) {
    state_ = link_.AddBlob(AsBytes(std::span<const float>(leg_.state)));
  }

  v1::RoundPlan Plan(const v1::Assignment& assignment, std::uint64_t round = 1) {
    const std::string bytes = assignment.SerializeAsString();
    Offer(assignment);
    v1::RoundPlan plan;
    plan.mutable_key()->set_experiment(assignment.experiment());
    plan.mutable_key()->set_purpose(v1::PURPOSE_TRAIN);
    plan.mutable_key()->set_round(round);
    plan.mutable_key()->set_attempt(1);
    plan.set_assignment_hash(Digest::Of(bytes).bytes());
    plan.set_assignment_size(bytes.size());
    plan.set_state_hash(state_.bytes());
    plan.set_state_coordinates(leg_.state.size());
    plan.set_maximum_weight(1);
    plan.mutable_train();
    return plan;
  }

  /// The experiment that is offered has every assignment that a plan was made for.
  void Offer(const v1::Assignment& assignment) {
    const std::string bytes = assignment.SerializeAsString();
    const Digest digest = link_.AddBlob(AsBytes(bytes));
    for (const v1::OfferedLeg& leg : offer_.legs()) {
      if (leg.assignment_hash() == digest.bytes()) return;
    }
    v1::OfferedLeg& leg = *offer_.add_legs();
    leg.set_experiment(assignment.experiment());
    leg.set_assignment_hash(digest.bytes());
    leg.set_assignment_size(bytes.size());
    leg.set_state_coordinates(leg_.state.size());
  }

  v1::RoundPlan EvaluationPlan() {
    v1::RoundPlan plan = Plan(assignment_);
    plan.mutable_key()->set_purpose(v1::PURPOSE_EVALUATE);
    v1::Evaluate& evaluate = *plan.mutable_evaluate();
    evaluate.set_part(v1::PART_TEST);
    evaluate.add_shots(1);
    evaluate.add_learning_rates(0.1);
    evaluate.add_steps(0);
    evaluate.add_steps(2);
    evaluate.set_episodes(3);
    return plan;
  }

  ClientResult Expected(const v1::RoundPlan& plan) {
    const auto pool = MakeLearningPool(1);
    const LocalClient self = leg_.self();
    auto results =
        ExecutePlan(RoundPlan::Create(plan).value(), *leg_.runtime, leg_.state, {&self, 1}, *pool);
    return std::move(results.front()).value();
  }

  Status Run(std::stop_token stop = {}) {
    offer_.set_experiment("clouds");
    offer_.set_rounds(10);
    offer_.set_minimum_cohort(1);
    link_.offer = offer_.SerializeAsString();
    control_.reset();  // its state folder is for one at a time
    control_ = SiteControl::Open({.policy = policy_,
                                  .hours = {},
                                  .state_dir = state_dir_,
                                  .site = {.identity = {.federation = "clouds", .name = "site-1"},
                                           .data = {{"clouds", v1::ROLE_TRAIN}}}},
                                 clock_)
                   .value();
    ClientRunner runner({.name = "site-1",
                         .registries = TestRegistries(),
                         .data = {{"clouds", {.source = source_, .role = v1::ROLE_TRAIN}}},
                         .threads = 2,
                         .state_dir = state_dir_},
                        *control_, link_, clock_, *logger_);
    return runner.Run(stop);
  }

  std::vector<nlohmann::json> Lines(const std::string& file) const {
    std::vector<nlohmann::json> lines;
    const Result<std::string> text = ReadFile(state_dir_ / file);
    std::istringstream in(text.ok() ? *text : "");
    for (std::string line; std::getline(in, line);) lines.push_back(nlohmann::json::parse(line));
    return lines;
  }

  // What the coordinator hears of a plan that this site refuses; the client goes on to the next.
  v1::Failed RefusalOf(const v1::RoundPlan& plan) {
    link_.SayPlan(plan.SerializeAsString());
    const v1::RoundPlan good = Plan(assignment_, 2);
    link_.SayPlan(good.SerializeAsString());
    link_.SayAllDone();
    EXPECT_TRUE(Run().ok());
    EXPECT_THAT(link_.uploads, SizeIs(1));
    for (const auto& upload : link_.uploads) EXPECT_EQ(upload.header.key().round(), 2U);
    const std::vector<v1::Report> failures = link_.failures();
    EXPECT_THAT(failures, SizeIs(1));
    if (failures.empty()) return {};
    EXPECT_EQ(failures.front().key().SerializeAsString(), plan.key().SerializeAsString());
    return failures.front().failed();
  }

  // Lines of outbound.jsonl about uploads.
  std::vector<nlohmann::json> Uploads() const {
    std::vector<nlohmann::json> uploads;
    for (nlohmann::json& line : Lines("outbound.jsonl")) {
      if (line["kind"] == "update" || line["kind"] == "metrics") uploads.push_back(line);
    }
    return uploads;
  }
  // What the coordinator hears of a plan that this site declines, and that nothing came of it.
  v1::Declined DeclineOf(const v1::RoundPlan& plan) {
    link_.SayPlan(plan.SerializeAsString());
    link_.SayAllDone();
    EXPECT_TRUE(Run().ok());
    EXPECT_THAT(link_.uploads, IsEmpty());
    EXPECT_THAT(link_.failures(), IsEmpty());
    EXPECT_THAT(Lines("figures.jsonl"), IsEmpty()) << "nothing was computed";
    for (const v1::Report& report : link_.declined()) {
      if (report.key().SerializeAsString() == plan.key().SerializeAsString())
        return report.declined();
    }
    ADD_FAILURE() << "the coordinator did not hear of it";
    return {};
  }

  v1::Policy policy_ = OpenPolicy(1);
  v1::Offer offer_;
  std::unique_ptr<SiteControl> control_;
  OpenedSource source_;
  v1::Assignment assignment_;
  TestLeg leg_;
  TemporaryFolder folder_;
  std::filesystem::path state_dir_ = folder_.path();
  FakeLink link_;
  Digest state_;
  ManualClock clock_;
  std::unique_ptr<Logger> logger_ = MakeNullLogger();
};

TEST_F(ClientRunnerTest, UploadsExactlyWhatThePlanGives) {
  const v1::RoundPlan plan = Plan(assignment_);
  link_.SayPlan(plan.SerializeAsString());
  link_.SayAllDone();
  ASSERT_TRUE(Run().ok());
  ASSERT_THAT(link_.uploads, SizeIs(1));
  const auto& [header, payload] = link_.uploads.front();
  EXPECT_EQ(payload, Expected(plan).payload);
  EXPECT_EQ(header.sha256(), Digest::Of(payload).bytes());
  EXPECT_EQ(header.size(), payload.size());
  EXPECT_EQ(header.plan_hash(), Digest::Of(plan.SerializeAsString()).bytes());
  EXPECT_EQ(header.key().SerializeAsString(), plan.key().SerializeAsString());
  EXPECT_THAT(link_.failures(), IsEmpty());
}

TEST_F(ClientRunnerTest, EvaluatesAndUploadsTheFigures) {
  const v1::RoundPlan plan = EvaluationPlan();
  link_.SayPlan(plan.SerializeAsString());
  link_.SayAllDone();
  ASSERT_TRUE(Run().ok());
  ASSERT_THAT(link_.uploads, SizeIs(1));
  EXPECT_EQ(link_.uploads.front().payload, Expected(plan).payload);
}

TEST_F(ClientRunnerTest, SaysWhatItSeesAndWhichDataItServes) {
  const v1::RoundPlan plan = Plan(assignment_);
  link_.SayPlan(plan.SerializeAsString());
  link_.SayAllDone();
  ASSERT_TRUE(Run().ok());
  ASSERT_THAT(link_.hellos, SizeIs(1));
  EXPECT_EQ(link_.hellos.front().data().at("clouds"), v1::ROLE_TRAIN);
  ASSERT_THAT(link_.requests, SizeIs(2));
  EXPECT_FALSE(link_.requests[0].has_seen());
  EXPECT_EQ(link_.requests[1].seen().SerializeAsString(), plan.key().SerializeAsString());
}

TEST_F(ClientRunnerTest, FetchesAssignmentAndStateOnce) {
  link_.SayPlan(Plan(assignment_).SerializeAsString());
  link_.SayPlan(EvaluationPlan().SerializeAsString());
  link_.SayAllDone();
  ASSERT_TRUE(Run().ok());
  EXPECT_THAT(link_.uploads, SizeIs(2));
  EXPECT_THAT(link_.downloads, SizeIs(2));
}

TEST_F(ClientRunnerTest, PlanThatIsNoneIsPassedOver) {
  link_.SayPlan("not a plan");
  v1::RoundPlan plan = Plan(assignment_);
  plan.set_maximum_weight(-1);
  link_.SayPlan(plan.SerializeAsString());
  link_.SayPlan(Plan(assignment_).SerializeAsString());
  link_.SayAllDone();
  ASSERT_TRUE(Run().ok());
  EXPECT_THAT(link_.uploads, SizeIs(1));
  EXPECT_THAT(link_.failures(), IsEmpty());
}

TEST_F(ClientRunnerTest, AssignmentThatWasNotOfferedIsDeclined) {
  v1::RoundPlan plan = Plan(assignment_);
  const std::string garbage(40, '\xff');
  plan.set_assignment_hash(link_.AddBlob(AsBytes(garbage)).bytes());
  plan.set_assignment_size(garbage.size());
  EXPECT_EQ(DeclineOf(plan).rule(), "offer");
}

TEST_F(ClientRunnerTest, OfferThatCannotBeReadIsDeclined) {
  const v1::RoundPlan plan = Plan(assignment_);
  offer_.mutable_legs(0)->set_assignment_hash(Digest::Of("not here").bytes());
  const v1::Declined declined = DeclineOf(plan);
  EXPECT_EQ(declined.rule(), "offer");
  EXPECT_FALSE(declined.pending());
}

TEST_F(ClientRunnerTest, AssignmentOfAnotherLayoutIsRefused) {
  v1::Assignment other = assignment_;
  other.set_layout_fingerprint(Digest::Of("another layout").bytes());
  EXPECT_THAT(RefusalOf(Plan(other)).reason(), HasSubstr("layout"));
}

TEST_F(ClientRunnerTest, AssignmentOfAnUnknownModelIsRefused) {
  v1::Assignment other = assignment_;
  other.mutable_model()->set_name("resnet");
  EXPECT_THAT(RefusalOf(Plan(other)).reason(), HasSubstr("resnet"));
}

TEST_F(ClientRunnerTest, AssignmentOverOtherDataIsDeclined) {
  v1::Assignment other = assignment_;
  other.set_data("heart");
  const v1::Declined declined = DeclineOf(Plan(other));
  EXPECT_EQ(declined.rule(), "data");
  EXPECT_THAT(declined.reason(), HasSubstr("'heart'"));
}

TEST_F(ClientRunnerTest, StateOfAnotherSizeIsDeclinedBeforeItIsFetched) {
  v1::RoundPlan plan = Plan(assignment_);
  plan.set_state_coordinates(std::uint64_t{1} << 40);
  EXPECT_EQ(DeclineOf(plan).rule(), "offer");
  EXPECT_THAT(link_.downloads, SizeIs(1)) << "the assignment";
}

TEST_F(ClientRunnerTest, NothingIsReadBeforeSomebodyApproves) {
  policy_.set_approve("manual");
  const v1::Declined declined = DeclineOf(Plan(assignment_));
  EXPECT_EQ(declined.rule(), "policy.approve");
  EXPECT_TRUE(declined.pending());
}

TEST_F(ClientRunnerTest, SaysThatItTakesPartOnceItIsApproved) {
  policy_.set_approve("manual");
  std::stop_source stop;
  link_.on_held = [&] {
    control_->Answer(R"({"command":"approve"})", "ann");
    link_.WaitForReady();
    stop.request_stop();
  };
  Offer(assignment_);
  EXPECT_EQ(Run(stop.get_token()).error().code(), ErrorCode::kCancelled);
  EXPECT_THAT(link_.declined(), SizeIs(1));
}

TEST_F(ClientRunnerTest, AnUploadThatIsPausedIsKeptForLater) {
  const v1::RoundPlan plan = Plan(assignment_);
  int uploads = 0;
  link_.on_upload = [&](const v1::UploadHeader&) -> Status {
    if (++uploads > 1) return {};
    control_->Answer(R"({"command":"pause"})", "ann");
    link_.WaitForStop();
    return Error(ErrorCode::kCancelled, "asked to stop");
  };
  link_.SayPlan(plan.SerializeAsString());
  std::stop_source stop;
  bool resumed = false;
  link_.on_held = [&] {
    if (std::exchange(resumed, true)) {
      stop.request_stop();
      return;
    }
    control_->Answer(R"({"command":"resume"})", "ann");
    v1::RoundPlan again = plan;
    again.mutable_key()->set_attempt(2);
    link_.SayPlan(again.SerializeAsString());
  };
  EXPECT_EQ(Run(stop.get_token()).error().code(), ErrorCode::kCancelled);
  ASSERT_THAT(link_.uploads, SizeIs(1));
  EXPECT_EQ(link_.uploads.front().header.key().attempt(), 2U);
  EXPECT_THAT(Lines("figures.jsonl"), SizeIs(1)) << "trained once";
  EXPECT_THAT(link_.failures(), IsEmpty());
}

TEST_F(ClientRunnerTest, LeavesAtOnceAndTellsSo) {
  link_.on_held = [&] { control_->Answer(R"({"command":"leave"})", "ann"); };
  Offer(assignment_);
  EXPECT_TRUE(Run().ok());
  ASSERT_THAT(link_.declined(), SizeIs(1));
  EXPECT_EQ(link_.declined().front().declined().rule(), "site.leave");
}

TEST_F(ClientRunnerTest, MetricsThatAreNotDisclosedLeaveAsZeros) {
  policy_.mutable_disclose()->set_metrics("none");
  const v1::RoundPlan plan = EvaluationPlan();
  link_.SayPlan(plan.SerializeAsString());
  link_.SayAllDone();
  ASSERT_TRUE(Run().ok());
  ASSERT_THAT(link_.uploads, SizeIs(1));
  const auto codec = ContributionCodec::Create({.layout = nullptr,
                                                .metric_cells = MetricCells(plan),
                                                .maximum_weight = 1.0,
                                                .maximum_contributors = 1});
  const std::vector<MetricSums> zeros(MetricCells(plan));
  EXPECT_EQ(link_.uploads.front().payload,
            codec->ToWire({.update = {}, .weight = 1, .metrics = zeros}).value());
  EXPECT_GT(Lines("figures.jsonl").front()["cells"][0]["examples"], 0) << "the site's own";
}

TEST_F(ClientRunnerTest, StaleUploadIsLeftWithoutAReport) {
  link_.on_upload = [](const v1::UploadHeader& header) -> Status {
    if (header.key().round() == 1) return Error(ErrorCode::kFailedPrecondition, "stale round");
    if (header.key().round() == 2) return Error(ErrorCode::kNotFound, "no such round");
    return {};
  };
  for (const std::uint64_t round : {1U, 2U, 3U})
    link_.SayPlan(Plan(assignment_, round).SerializeAsString());
  link_.SayAllDone();
  ASSERT_TRUE(Run().ok());
  EXPECT_THAT(link_.failures(), IsEmpty());
  EXPECT_THAT(link_.uploads, SizeIs(1));
}

TEST_F(ClientRunnerTest, AnotherAttemptAtTheSameWorkIsAnsweredWithTheResultAtHand) {
  v1::RoundPlan plan = Plan(assignment_);
  link_.SayPlan(plan.SerializeAsString());
  plan.mutable_key()->set_attempt(2);
  plan.set_report_deadline_ms(77'000);
  link_.SayPlan(plan.SerializeAsString());
  link_.SayAllDone();
  ASSERT_TRUE(Run().ok());
  ASSERT_THAT(link_.uploads, SizeIs(2));
  EXPECT_EQ(link_.uploads[0].payload, link_.uploads[1].payload);
  EXPECT_EQ(link_.uploads[1].header.key().attempt(), 2U);
  EXPECT_EQ(link_.uploads[1].header.plan_hash(), Digest::Of(plan.SerializeAsString()).bytes());
  EXPECT_THAT(Lines("figures.jsonl"), SizeIs(1)) << "trained once";
  EXPECT_THAT(Uploads(), SizeIs(2)) << "left twice";
}

TEST_F(ClientRunnerTest, OtherWorkIsDoneAnew) {
  v1::RoundPlan plan = Plan(assignment_);
  link_.SayPlan(plan.SerializeAsString());
  plan.mutable_key()->set_round(2);
  link_.SayPlan(plan.SerializeAsString());
  leg_.state[0] += 1;
  plan.set_state_hash(link_.AddBlob(AsBytes(std::span<const float>(leg_.state))).bytes());
  link_.SayPlan(plan.SerializeAsString());
  link_.SayAllDone();
  ASSERT_TRUE(Run().ok());
  EXPECT_THAT(link_.uploads, SizeIs(3));
  EXPECT_THAT(Lines("figures.jsonl"), SizeIs(3));
}

TEST_F(ClientRunnerTest, JoinsAgainAfterACoordinatorRestart) {
  link_.answers.emplace_back(Error(ErrorCode::kFailedPrecondition, "join first"));
  link_.SayPlan(Plan(assignment_).SerializeAsString());
  link_.SayAllDone();
  ASSERT_TRUE(Run().ok());
  EXPECT_THAT(link_.hellos, SizeIs(2));
  ASSERT_THAT(link_.requests, SizeIs(3));
  EXPECT_EQ(link_.requests[0].session_id(), 1U);
  EXPECT_EQ(link_.requests[1].session_id(), 2U);
  EXPECT_THAT(link_.uploads, SizeIs(1));
}

TEST_F(ClientRunnerTest, FinalRefusalEndsTheClient) {
  link_.answers.emplace_back(Error(ErrorCode::kPermissionDenied, "no member"));
  const Status status = Run();
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code(), ErrorCode::kPermissionDenied);
  EXPECT_THAT(link_.hellos, SizeIs(1));
}

TEST_F(ClientRunnerTest, FailedFederationIsSaidWithItsReason) {
  v1::Closed closed;
  closed.set_all_done(true);
  closed.set_failed(true);
  closed.set_reason("quorum lost in round 3");
  link_.SayClosed(closed);
  const Status status = Run();
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code(), ErrorCode::kFederationFailed);
  EXPECT_THAT(status.error().message(), HasSubstr("quorum lost in round 3"));
}

TEST_F(ClientRunnerTest, ClosedAttemptIsNotTheEnd) {
  link_.SayClosed({});
  link_.SayPlan(Plan(assignment_).SerializeAsString());
  link_.SayAllDone();
  ASSERT_TRUE(Run().ok());
  EXPECT_THAT(link_.uploads, SizeIs(1));
}

TEST_F(ClientRunnerTest, StopEndsTheWaitForInstructions) {
  std::stop_source stop;
  link_.on_held = [&] { stop.request_stop(); };
  link_.SayPlan(Plan(assignment_).SerializeAsString());
  Status status;
  {
    std::jthread runner([&] { status = Run(stop.get_token()); });
  }
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code(), ErrorCode::kCancelled);
  EXPECT_THAT(link_.uploads, SizeIs(1)) << "what was trained before is uploaded";
}

TEST_F(ClientRunnerTest, StopDuringAnUploadEndsTheClientWithoutAReport) {
  link_.on_upload = [](const v1::UploadHeader&) -> Status {
    return Error(ErrorCode::kCancelled, "asked to stop");
  };
  link_.SayPlan(Plan(assignment_).SerializeAsString());
  const Status status = Run();
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code(), ErrorCode::kCancelled);
  EXPECT_THAT(link_.failures(), IsEmpty());
}

TEST_F(ClientRunnerTest, RecordsWhatLeavesBeforeItLeaves) {
  clock_.Advance(std::chrono::hours(24));
  std::vector<nlohmann::json> outbound;
  std::vector<nlohmann::json> figures;
  link_.on_upload = [&](const v1::UploadHeader&) -> Status {
    outbound = Uploads();
    figures = Lines("figures.jsonl");
    return {};
  };
  link_.SayPlan(Plan(assignment_).SerializeAsString());
  link_.SayAllDone();
  ASSERT_TRUE(Run().ok());
  ASSERT_THAT(link_.uploads, SizeIs(1));
  ASSERT_THAT(outbound, SizeIs(1)) << "at the time of the upload";
  const Bytes& payload = link_.uploads.front().payload;
  const nlohmann::json expected = {
      {"time", "1970-01-02T00:00:00Z"},
      {"experiment", "clouds/maml"},
      {"purpose", "train"},
      {"round", 1},
      {"attempt", 1},
      {"kind", "update"},
      {"fields",
       {{"update", leg_.state.size()},
        {"weight", 1},
        {"metrics", MetricCells(Plan(assignment_)) * MetricSums::kSize}}},
      {"bytes", payload.size()},
      {"sha256", Digest::Of(payload).hex()}};
  EXPECT_EQ(outbound.front(), expected);
  ASSERT_THAT(figures, SizeIs(1)) << "written after training, before the upload";
  EXPECT_EQ(figures.front()["purpose"], "train");
}

TEST_F(ClientRunnerTest, NothingLeavesThatCannotBeRecorded) {
  // A folder in its place.
  ASSERT_TRUE(std::filesystem::create_directory(state_dir_ / "outbound.jsonl"));
  link_.SayPlan(Plan(assignment_).SerializeAsString());
  link_.SayAllDone();
  ASSERT_TRUE(Run().ok());
  EXPECT_THAT(link_.uploads, IsEmpty());
  EXPECT_THAT(link_.failures(), SizeIs(1));
}

TEST_F(ClientRunnerTest, OwnFiguresAreThoseOfTheResult) {
  const v1::RoundPlan plan = EvaluationPlan();
  link_.SayPlan(plan.SerializeAsString());
  link_.SayAllDone();
  ASSERT_TRUE(Run().ok());
  const std::vector<nlohmann::json> figures = Lines("figures.jsonl");
  ASSERT_THAT(figures, SizeIs(1));
  EXPECT_EQ(figures.front()["purpose"], "test");
  EXPECT_EQ(figures.front()["steps"], nlohmann::json({0, 2}));
  const std::vector<MetricSums> expected = Expected(plan).metrics;
  ASSERT_THAT(figures.front()["cells"], SizeIs(expected.size()));
  for (std::size_t i = 0; i < expected.size(); ++i) {
    EXPECT_EQ(figures.front()["cells"][i]["examples"].get<double>(), expected[i].examples);
    EXPECT_EQ(figures.front()["cells"][i]["loss"].get<double>(), expected[i].mean_loss);
    EXPECT_EQ(figures.front()["cells"][i]["accuracy"].get<double>(), expected[i].mean_correct);
  }
}

}  // namespace
}  // namespace fedmeta
