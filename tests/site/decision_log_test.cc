#include "fedmeta/site/decision_log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fedmeta/core/file.h"
#include "fedmeta/tests/support/temporary_folder.h"

namespace fedmeta {
namespace {

using Answer = DecisionLog::Answer;
using testing::HasSubstr;

class DecisionLogTest : public testing::Test {
 protected:
  DecisionLog Open() { return DecisionLog::Open(file_).value(); }
  TemporaryFolder folder_;
  const std::filesystem::path file_ = folder_.path() / "approvals.jsonl";
  const Digest heart_ = Digest::Of("heart"), lung_ = Digest::Of("lung");
};

TEST_F(DecisionLogTest, TheLastDecisionCountsAndOutlivesTheProcess) {
  {
    DecisionLog log = Open();
    EXPECT_EQ(log.AnswerTo(heart_), Answer::kNone);
    ASSERT_TRUE(
        log.Record(Answer::kApproved, heart_, "heart", {.who = "ann", .note = ""}, {}).ok());
    ASSERT_TRUE(
        log.Record(Answer::kRejected, lung_, "lung", {.who = "ann", .note = "no \"lungs\""}, {})
            .ok());
    ASSERT_TRUE(log.Record(Answer::kLeft, heart_, "heart", {.who = "bob", .note = ""}, {}).ok());
    ASSERT_TRUE(log.RecordPause(true, {.who = "bob", .note = ""}, {}).ok());
    EXPECT_EQ(log.AnswerTo(heart_), Answer::kLeft);
  }
  DecisionLog again = Open();
  EXPECT_EQ(again.AnswerTo(heart_), Answer::kLeft);
  EXPECT_EQ(again.AnswerTo(lung_), Answer::kRejected);
  EXPECT_TRUE(again.paused());
  ASSERT_TRUE(again.RecordPause(false, {.who = "bob", .note = ""}, {}).ok());
  EXPECT_FALSE(Open().paused());
  EXPECT_THAT(ReadFile(file_).value(), HasSubstr(R"("note":"no \"lungs\"")"));
}

TEST_F(DecisionLogTest, ATornLastLineNeverTookEffect) {
  ASSERT_TRUE(
      Open().Record(Answer::kApproved, heart_, "heart", {.who = "ann", .note = ""}, {}).ok());
  ASSERT_TRUE(AppendFile(file_, R"({"decision":"rejected","ha)").ok());
  DecisionLog log = Open();
  EXPECT_EQ(log.AnswerTo(heart_), Answer::kApproved);
  ASSERT_TRUE(log.Record(Answer::kRejected, heart_, "heart", {.who = "ann", .note = ""}, {}).ok());
  EXPECT_EQ(Open().AnswerTo(heart_), Answer::kRejected);
}

TEST_F(DecisionLogTest, ADamagedLineIsNamedAndNothingRuns) {
  for (const char* line : {"nonsense\n", "{}\n", "{\"decision\":\"maybe\",\"hash\":\"00\"}\n",
                           "{\"decision\":\"rejected\"}\n"}) {
    ASSERT_TRUE(WriteFileAtomically(file_, std::string_view(line)).ok());
    const auto log = DecisionLog::Open(file_);
    ASSERT_FALSE(log.ok()) << line;
    EXPECT_EQ(log.error().code(), ErrorCode::kDataLoss);
    EXPECT_THAT(log.error().message(), HasSubstr("approvals.jsonl:1"));
  }
}

}  // namespace
}  // namespace fedmeta
