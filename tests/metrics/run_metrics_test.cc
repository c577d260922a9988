#include "fedmeta/metrics/run_metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace fedmeta {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class RunMetricsTest : public ::testing::Test {
 protected:
  bool Shows(const std::string& line) {
    return registry_.Expose().find("\n" + line + "\n") != std::string::npos;
  }

  ManualClock clock_;
  MetricRegistry registry_;
  const std::unique_ptr<RunObserver> observer_ =
      MakeRunMetrics({.legs = {"maml", "fedavg"}, .minimum_cohort = 2}, registry_, clock_);
};

TEST_F(RunMetricsTest, FollowsTheStateOfTheRun) {
  ASSERT_TRUE(observer_->Started({.parameters = 28485}).ok());
  EXPECT_TRUE(Shows("fedmeta_run_state{state=\"running\"} 1"));
  EXPECT_TRUE(Shows("fedmeta_model_parameters 28485"));
  ASSERT_TRUE(observer_->LegStarted("maml", "maml", 12).ok());
  EXPECT_TRUE(Shows("fedmeta_leg_active{leg=\"maml\"} 1"));
  EXPECT_TRUE(Shows("fedmeta_rounds_planned 12"));
  ASSERT_TRUE(observer_->Finished({.status = RunStatus::kFailed}).ok());
  EXPECT_TRUE(Shows("fedmeta_run_state{state=\"running\"} 0"));
  EXPECT_TRUE(Shows("fedmeta_run_state{state=\"failed\"} 1"));
}

TEST_F(RunMetricsTest, CountsACommittedRound) {
  clock_.Advance(std::chrono::seconds(90));
  ASSERT_TRUE(observer_
                  ->RoundDone({.leg = "maml",
                               .round = 7,
                               .cohort = {"a", "b", "c"},
                               .reported = {"a", "b"},
                               .dropped = {{"c", "lost", "silent while reading patient-4711.csv"}},
                               .bytes_down = 300,
                               .bytes_up = 200,
                               .wall_s = 2,
                               .parts_s = {{"apply", 0.02}}})
                  .ok());
  EXPECT_TRUE(Shows("fedmeta_rounds_committed_total{leg=\"maml\"} 1"));
  EXPECT_TRUE(Shows("fedmeta_round 7"));
  EXPECT_TRUE(Shows("fedmeta_last_commit_timestamp_seconds 90"));
  EXPECT_TRUE(Shows("fedmeta_cohort_clients 3"));
  EXPECT_TRUE(Shows("fedmeta_reported_clients 2"));
  EXPECT_TRUE(Shows("fedmeta_dropped_clients_total{phase=\"lost\"} 1"));
  EXPECT_TRUE(Shows("fedmeta_round_bytes_total{direction=\"down\"} 300"));
  EXPECT_TRUE(Shows("fedmeta_round_bytes_total{direction=\"up\"} 200"));
  EXPECT_TRUE(Shows("fedmeta_round_seconds_bucket{le=\"1\"} 0"));
  EXPECT_TRUE(Shows("fedmeta_round_seconds_bucket{le=\"2.5\"} 1"));
  EXPECT_TRUE(Shows("fedmeta_round_part_seconds_count{part=\"apply\"} 1"));
  EXPECT_TRUE(Shows("fedmeta_quorum_misses_total 0"));
  EXPECT_THAT(registry_.Expose(), Not(HasSubstr("4711")));
}

TEST_F(RunMetricsTest, TooFewReportsAreAQuorumMissOtherEndsAreNot) {
  ASSERT_TRUE(observer_->RoundDone({.leg = "maml", .committed = false, .reported = {"a"}}).ok());
  EXPECT_TRUE(Shows("fedmeta_quorum_misses_total 1"));
  ASSERT_TRUE(
      observer_->RoundDone({.leg = "maml", .committed = false, .reported = {"a", "b"}}).ok());
  EXPECT_TRUE(Shows("fedmeta_quorum_misses_total 1"));
  EXPECT_TRUE(Shows("fedmeta_attempts_abandoned_total{leg=\"maml\"} 2"));
  EXPECT_TRUE(Shows("fedmeta_rounds_committed_total{leg=\"maml\"} 0"));
}

TEST_F(RunMetricsTest, WhatAnEarlierProcessDidIsNotCountedAgain) {
  ASSERT_TRUE(observer_->HistoryBegins().ok());
  ASSERT_TRUE(observer_->LegStarted("maml", "maml", 12).ok());
  ASSERT_TRUE(observer_->RoundDone({.leg = "maml", .round = 1}).ok());
  ASSERT_TRUE(observer_->HistoryEnds("maml", 1).ok());
  EXPECT_TRUE(Shows("fedmeta_round 1"));
  EXPECT_TRUE(Shows("fedmeta_rounds_committed_total{leg=\"maml\"} 0"));
  EXPECT_TRUE(Shows("fedmeta_last_commit_timestamp_seconds 0"));
  ASSERT_TRUE(observer_->RoundDone({.leg = "maml", .round = 2}).ok());
  EXPECT_TRUE(Shows("fedmeta_rounds_committed_total{leg=\"maml\"} 1"));
}

TEST_F(RunMetricsTest, APausedRunGoesOnWithItsNextRound) {
  ASSERT_TRUE(observer_->Paused({}).ok());
  EXPECT_TRUE(Shows("fedmeta_run_state{state=\"paused\"} 1"));
  ASSERT_TRUE(observer_->RoundDone({.leg = "maml", .round = 2}).ok());
  EXPECT_TRUE(Shows("fedmeta_run_state{state=\"paused\"} 0"));
  EXPECT_TRUE(Shows("fedmeta_run_state{state=\"running\"} 1"));
}

TEST_F(RunMetricsTest, APhaseOfAPeersOwnWordingIsOther) {
  ASSERT_TRUE(
      observer_->RoundDone({.leg = "maml", .dropped = {{"c", "reading patient 4711", ""}}}).ok());
  EXPECT_TRUE(Shows("fedmeta_dropped_clients_total{phase=\"other\"} 1"));
}

TEST_F(RunMetricsTest, EvaluationShowsTheMeanOfTheBestSettingAndNoClient) {
  const MetricSums poor{.clients = 2, .mean_loss = 4, .mean_correct = 0.4};
  const MetricSums good{.clients = 2, .mean_loss = 1, .mean_correct = 1.5};
  const std::vector<EvaluationRecord> records = {
      {.leg = "maml", .holdout = true, .cells = {{.sums = poor}, {.sums = good}, {.sums = {}}}},
      {.leg = "maml", .client = "site-9", .holdout = true, .cells = {{.sums = poor}}}};
  ASSERT_TRUE(observer_->Evaluated(records).ok());
  EXPECT_TRUE(Shows("fedmeta_test_loss{leg=\"maml\"} 0.5"));
  EXPECT_TRUE(Shows("fedmeta_test_accuracy{leg=\"maml\"} 0.75"));
  EXPECT_TRUE(Shows("fedmeta_validation_loss{leg=\"maml\"} 0"));
  EXPECT_THAT(registry_.Expose(), Not(HasSubstr("site-9")));
}

}  // namespace
}  // namespace fedmeta
