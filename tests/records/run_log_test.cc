#include "fedmeta/records/run_log.h"

#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace fedmeta {
namespace {

using ::testing::ElementsAre;

/// "warning client_dropped leg=maml round=3"
class KeptLog final : public Logger {
 public:
  void Log(LogLevel level, std::string_view event,
           std::initializer_list<LogField> fields) override {
    std::string line = level == LogLevel::kDebug     ? "debug "
                       : level == LogLevel::kWarning ? "warning "
                                                     : "info ";
    line += event;
    for (const LogField& field : fields) line += " " + std::string(field.key) + "=" + field.value;
    lines.push_back(line);
  }
  std::vector<std::string> lines;
};

TEST(RunLogTest, EachLineOfARoundCarriesItsKey) {
  KeptLog log;
  const auto observer = MakeRunLog(log);
  ASSERT_TRUE(observer
                  ->RoundDone({.leg = "maml",
                               .round = 3,
                               .attempt = 2,
                               .cohort = {"a", "b"},
                               .reported = {"a"},
                               .dropped = {{"b", "lost", "silent"}},
                               .wall_s = 0.5})
                  .ok());
  EXPECT_THAT(
      log.lines,
      ElementsAre(
          "warning client_dropped leg=maml round=3 attempt=2 client=b phase=lost reason=silent",
          "debug round_committed leg=maml round=3 attempt=2 reported=1/2 wall_s=0.5"));
}

TEST(RunLogTest, TheHistoryOfAResumedRunIsNotLoggedAgain) {
  KeptLog log;
  const auto observer = MakeRunLog(log);
  ASSERT_TRUE(observer->HistoryBegins().ok());
  ASSERT_TRUE(observer->LegStarted("maml", "maml", 9).ok());
  ASSERT_TRUE(observer->RoundDone({.leg = "maml", .round = 1}).ok());
  ASSERT_TRUE(observer->HistoryEnds("maml", 1).ok());
  EXPECT_THAT(log.lines, ElementsAre("info run_resumed leg=maml round=1"));
}

TEST(RunLogTest, WhatEndsBadlyIsAWarning) {
  KeptLog log;
  const auto observer = MakeRunLog(log);
  ASSERT_TRUE(observer
                  ->RoundDone({.leg = "maml",
                               .round = 3,
                               .attempt = 1,
                               .committed = false,
                               .reason = "0 of 2 reported"})
                  .ok());
  ASSERT_TRUE(observer->Finished({.status = RunStatus::kFailed, .reason = "quorum"}).ok());
  EXPECT_THAT(log.lines,
              ElementsAre("warning attempt_abandoned leg=maml round=3 attempt=1 reported=0/0 "
                          "reason=0 of 2 reported",
                          "warning run_finished status=failed rounds=0 reason=quorum"));
}

}  // namespace
}  // namespace fedmeta
