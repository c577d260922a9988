#include "fedmeta/privacy/opening_log.h"

#include <csignal>
#include <filesystem>
#include <sys/resource.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fedmeta/core/file.h"
#include "fedmeta/tests/support/temporary_folder.h"

namespace fedmeta {
namespace {

using ::testing::HasSubstr;

SessionFacts Facts(std::uint64_t round, const std::string& model, const std::string& session,
                   const std::string& experiment = "heart/maml") {
  return {.key = {.experiment = ExperimentId(experiment), .round = round, .attempt = 1},
          .model_hash = Digest::Of(model),
          .session = Digest::Of(session),
          .members = 3};
}
SessionFacts Of(const std::string& members, SessionFacts facts) {
  facts.member_set = Digest::Of(members);
  return facts;
}
std::string Said(const Status& status) { return status.ok() ? "" : status.error().message(); }

class OpeningLogTest : public ::testing::Test {
 protected:
  std::unique_ptr<OpeningLatch> Open(std::uint32_t same_model = 0, std::uint32_t reopen = 0) const {
    auto log = OpenOpeningLog({.path = path_, .same_model = same_model, .reopen = reopen});
    EXPECT_TRUE(log.ok()) << (log.ok() ? "" : log.error().message());
    return std::move(log).value();
  }
  std::string Content() const { return ReadFile(path_).value(); }

  const TemporaryFolder folder_;
  const std::filesystem::path path_ = folder_.path() / "openings.log";
};

TEST_F(OpeningLogTest, RemembersAcrossProcesses) {
  {
    const auto log = Open();
    EXPECT_TRUE(log->RecordMasked(Facts(5, "m5", "s1")).ok());
    EXPECT_TRUE(log->RecordOpened(Facts(5, "m5", "s1")).ok());
    EXPECT_TRUE(log->RecordMasked(Facts(6, "m6", "s2")).ok());
  }
  const auto log = Open();
  EXPECT_THAT(Said(log->CheckStart(Facts(5, "m5", "s9"))),
              HasSubstr("heart/maml train 5.1 was opened 1 times, at most 1"));
  EXPECT_THAT(Said(log->RecordOpened(Facts(5, "m5", "s9"))), HasSubstr("was opened"));
  EXPECT_TRUE(log->RecordOpened(Facts(5, "m5", "s1")).ok());  // the lost reply, sent again
  EXPECT_TRUE(log->CheckStart(Facts(6, "m6", "s9")).ok());    // masked, not opened
  EXPECT_THAT(Said(log->CheckStart(Facts(7, "m6", ""))), HasSubstr("already answered"));
  EXPECT_THAT(Said(log->RecordMasked(Facts(6, "m5", "", "lungs/maml"))),
              HasSubstr("already answered under 1 other rounds"));
}

TEST_F(OpeningLogTest, PurposesAreApart) {
  const auto log = Open();
  EXPECT_TRUE(log->RecordMasked(Facts(5, "m5", "s1")).ok());
  SessionFacts evaluation = Facts(5, "m5", "s2");
  evaluation.key.purpose = Purpose::kEvaluate;
  evaluation.key.round = 9;
  EXPECT_TRUE(log->RecordMasked(evaluation).ok());
}

TEST_F(OpeningLogTest, TheSameMembersMayAskTheSameModelAgain) {
  const auto facts = [](std::uint64_t round, const std::string& members) {
    return Of(members, Facts(round, "m", members + std::to_string(round)));
  };
  {
    const auto log = Open();
    EXPECT_TRUE(log->RecordMasked(facts(5, "abc")).ok());
    EXPECT_TRUE(log->RecordOpened(facts(5, "abc")).ok());
  }
  const auto log = Open();
  EXPECT_TRUE(log->CheckStart(Facts(6, "m", "")).ok());  // R0: they may be the same
  EXPECT_TRUE(log->CheckStart(facts(6, "abc")).ok());
  EXPECT_THAT(Said(log->CheckStart(facts(6, "ab"))), HasSubstr("not always for exactly these"));
  EXPECT_THAT(Said(log->RecordMasked(facts(6, "abcd"))), HasSubstr("not always for exactly"));
  EXPECT_TRUE(log->RecordMasked(facts(6, "abc")).ok());
  EXPECT_TRUE(log->RecordOpened(facts(6, "abc")).ok());
  EXPECT_TRUE(log->CheckStart(facts(7, "abc")).ok());
  // With two rounds it is one set for ever.
  const Status earlier = log->RecordMasked(Of("ab", Facts(5, "m", "s", "heart/maml")));
  EXPECT_FALSE(earlier.ok());
}

TEST_F(OpeningLogTest, ARoundOfTwoSetsIsFollowedByNone) {
  const auto log = Open();
  EXPECT_TRUE(log->RecordMasked(Of("abcd", Facts(5, "m", "s1"))).ok());
  EXPECT_TRUE(log->RecordMasked(Of("abc", Facts(5, "m", "s2"))).ok());  // nothing was opened
  EXPECT_THAT(Said(Open()->CheckStart(Facts(6, "m", ""))), HasSubstr("for different members"));
  for (const char* members : {"abcd", "abc"})
    EXPECT_FALSE(Open()->CheckStart(Of(members, Facts(6, "m", ""))).ok()) << members;
  EXPECT_TRUE(Open()->RecordMasked(Of("abc", Facts(5, "m", "s3"))).ok());
  EXPECT_TRUE(Open(1)->RecordMasked(Of("abd", Facts(6, "m", "s4"))).ok()) << "it is allowed to";
}

TEST_F(OpeningLogTest, OldLinesHaveMembersThatAreLikeNone) {
  const std::string line = "masked 0 " + Digest::Of("m").hex() + " 5 heart/maml of old";
  const std::string checksum = Digest::Of(line).hex().substr(0, 16);
  ASSERT_TRUE(WriteFileAtomically(path_, checksum + " " + line + "\n").ok());
  SessionFacts facts = Facts(6, "m", "", "heart/maml of old");
  facts.key.purpose = static_cast<Purpose>(0);
  EXPECT_FALSE(Open()->CheckStart(facts).ok());
  EXPECT_FALSE(Open()->CheckStart(Of("abc", facts)).ok());
  EXPECT_TRUE(Open(1)->CheckStart(facts).ok());
  facts.key.round = 5;
  EXPECT_TRUE(Open()->RecordMasked(Of("abc", facts)).ok());
  facts.key.round = 6;
  EXPECT_FALSE(Open()->CheckStart(Of("abc", facts)).ok());
}

TEST_F(OpeningLogTest, ASiteMayAllowMore) {
  const auto log = Open(1, 1);
  EXPECT_TRUE(log->RecordMasked(Facts(5, "m", "s1")).ok());
  EXPECT_TRUE(log->RecordMasked(Facts(6, "m", "s2")).ok());
  EXPECT_FALSE(log->RecordMasked(Facts(7, "m", "s3")).ok());
  EXPECT_TRUE(log->RecordOpened(Facts(5, "m", "s1")).ok());
  EXPECT_TRUE(log->RecordOpened(Facts(5, "m", "s4")).ok());
  EXPECT_FALSE(log->RecordOpened(Facts(5, "m", "s5")).ok());
}

TEST_F(OpeningLogTest, ATornLastLineIsCutOffAndOtherDamageRefused) {
  {
    const auto log = Open();
    EXPECT_TRUE(log->RecordMasked(Facts(5, "m5", "s1")).ok());
    EXPECT_TRUE(log->RecordOpened(Facts(5, "m5", "s1")).ok());
  }
  const std::string whole = Content();
  const std::size_t first_line = whole.find('\n') + 1;
  for (std::size_t size = first_line; size < whole.size(); size += 9) {
    ASSERT_TRUE(WriteFileAtomically(path_, whole.substr(0, size)).ok());
    EXPECT_TRUE(Open()->CheckStart(Facts(5, "m5", "")).ok());
    EXPECT_EQ(Content().size(), first_line);
  }
  for (std::size_t at = 0; at < whole.size(); at += 5) {
    std::string damaged = whole;
    damaged[at] = static_cast<char>(damaged[at] ^ 1);
    if (at + 1 == whole.size()) continue;
    ASSERT_TRUE(WriteFileAtomically(path_, damaged).ok());
    const auto log = OpenOpeningLog({.path = path_});
    ASSERT_FALSE(log.ok()) << at;
    EXPECT_EQ(log.error().code(), ErrorCode::kDataLoss);
  }
}

TEST_F(OpeningLogTest, WhatCannotBeWrittenIsNotRecorded) {
  const auto log = Open();
  EXPECT_TRUE(log->RecordMasked(Facts(5, "m5", "s1")).ok());
  const std::string before = Content();
  // A file that may not grow by a whole line, as on a full disk.
  std::signal(SIGXFSZ, SIG_IGN);
  rlimit limit{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &limit), 0);
  const rlimit tight{.rlim_cur = before.size() + 20, .rlim_max = limit.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &tight), 0);
  const Status status = log->RecordOpened(Facts(5, "m5", "s1"));
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &limit), 0);
  EXPECT_FALSE(status.ok());
  EXPECT_EQ(Content(), before);
  EXPECT_TRUE(log->CheckStart(Facts(5, "m5", "s2")).ok());
  EXPECT_TRUE(log->RecordOpened(Facts(5, "m5", "s1")).ok());  // there is room again
  EXPECT_FALSE(Open()->CheckStart(Facts(5, "m5", "s2")).ok());
}

TEST_F(OpeningLogTest, ALineBreakInANameIsRefused) {
  const auto log = Open();
  EXPECT_FALSE(log->RecordMasked(Facts(5, "m5", "s1", "heart\nopened")).ok());
  EXPECT_EQ(Content(), "");
}

TEST_F(OpeningLogTest, InMemoryTheSameRulesHold) {
  const auto log = OpeningsInMemory();
  EXPECT_TRUE(log->RecordMasked(Facts(5, "m5", "s1")).ok());
  EXPECT_TRUE(log->RecordOpened(Facts(5, "m5", "s1")).ok());
  EXPECT_FALSE(log->CheckStart(Facts(5, "m5", "")).ok());
  EXPECT_FALSE(log->CheckStart(Facts(6, "m5", "")).ok());
}

}  // namespace
}  // namespace fedmeta
