#include "fedmeta/core/logger.h"

#include <algorithm>
#include <string>

#include <gtest/gtest.h>

namespace fedmeta {
namespace {

std::string Logged(LogFormat format, LogLevel level, std::string_view event,
                   std::initializer_list<LogField> fields, LogLevel least = LogLevel::kDebug) {
  const ManualClock clock;
  const auto logger = MakeStderrLogger(clock, least, format);
  ::testing::internal::CaptureStderr();
  logger->Log(level, event, fields);
  return ::testing::internal::GetCapturedStderr();
}

std::string Value(const std::string& value) {
  const std::string line = Logged(LogFormat::kText, LogLevel::kInfo, "e", {{"k", value}});
  const std::string before = "1970-01-01T00:00:00Z info e k=";
  return line.substr(before.size(), line.size() - before.size() - 1);
}

TEST(LoggerTest, WritesOneLineOfKeyValueFields) {
  EXPECT_EQ(Logged(LogFormat::kText, LogLevel::kWarning, "client lost",
                   {{"client", "site-1"}, {"round", "12"}}),
            "1970-01-01T00:00:00Z warning client lost client=site-1 round=12\n");
}

TEST(LoggerTest, WritesOneJsonObject) {
  EXPECT_EQ(Logged(LogFormat::kJson, LogLevel::kError, "refused", {{"reason", "a \"b\""}}),
            "{\"time\":\"1970-01-01T00:00:00Z\",\"level\":\"error\",\"event\":\"refused\","
            "\"reason\":\"a \\\"b\\\"\"}\n");
}

TEST(LoggerTest, LeavesOutWhatLiesBelowTheLeastLevel) {
  EXPECT_EQ(Logged(LogFormat::kText, LogLevel::kInfo, "e", {}, LogLevel::kWarning), "");
  EXPECT_NE(Logged(LogFormat::kText, LogLevel::kWarning, "e", {}, LogLevel::kWarning), "");
}

TEST(LoggerTest, QuotesAValueThatWouldNotEndWhereItEnds) {
  EXPECT_EQ(Value("plain-1.0"), "plain-1.0");
  EXPECT_EQ(Value(""), "\"\"");
  EXPECT_EQ(Value("a b"), "\"a b\"");
  EXPECT_EQ(Value("a=b"), "\"a=b\"");
  EXPECT_EQ(Value("say \"x\""), "\"say \\\"x\\\"\"");
  EXPECT_EQ(Value("back\\slash"), "\"back\\\\slash\"");
}

TEST(LoggerTest, AValueCannotAddALine) {
  const std::string hostile = "x\n2026-01-01T00:00:00Z info admitted client=evil\r\n";
  for (const LogFormat format : {LogFormat::kText, LogFormat::kJson}) {
    const std::string line = Logged(format, LogLevel::kInfo, hostile, {{"k", hostile}});
    EXPECT_EQ(std::count(line.begin(), line.end(), '\n'), 1);
    EXPECT_EQ(line.back(), '\n');
    EXPECT_EQ(line.find('\r'), std::string::npos);
  }
}

TEST(LoggerTest, KeepsUtf8AndEscapesWhatIsNot) {
  EXPECT_EQ(Value("Universität-日本-😀"), "Universität-日本-😀");
  EXPECT_EQ(Value("\xC3"), "\"\\u00c3\"");                        // cut off
  EXPECT_EQ(Value("\xC0\x8A"), "\"\\u00c0\\u008a\"");             // a line feed in two bytes
  EXPECT_EQ(Value("\xED\xA0\x80"), "\"\\u00ed\\u00a0\\u0080\"");  // half of a surrogate pair
  EXPECT_EQ(Value("\xF4\x90\x80\x80"), "\"\\u00f4\\u0090\\u0080\\u0080\"");  // beyond U+10FFFF
}

TEST(LoggerTest, AValueCannotSteerATerminal) {
  EXPECT_EQ(Value("\x1B[2J"), "\"\\u001b[2J\"");
  EXPECT_EQ(Value("\x7F"), "\"\\u007f\"");
  EXPECT_EQ(Value("\xC2\x9B[2J"),
            "\"\\u00c2\\u009b[2J\"");  // U+009B, an escape sequence in one character
}

TEST(LoggerTest, TheNullLoggerIsSilent) {
  ::testing::internal::CaptureStderr();
  MakeNullLogger()->Log(LogLevel::kError, "e", {{"k", "v"}});
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "");
}

}  // namespace
}  // namespace fedmeta
