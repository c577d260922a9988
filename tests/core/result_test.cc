#include "fedmeta/core/result.h"

#include <memory>
#include <string>

#include <gtest/gtest.h>

namespace fedmeta {
namespace {

const Error kRefused(ErrorCode::kInvalidArgument, "rounds must be > 0, got 0");

Result<int> Half(int number) {
  if (number % 2 != 0) return Error(ErrorCode::kInvalidArgument, "odd");
  return number / 2;
}
Result<int> Quarter(int number) {
  FEDMETA_ASSIGN_OR_RETURN(const int half, Half(number));
  FEDMETA_ASSIGN_OR_RETURN(const int quarter, Half(half));
  return quarter;
}
Status CheckQuarter(int number) {
  FEDMETA_RETURN_IF_ERROR(Quarter(number));
  return {};
}

TEST(ResultTest, HoldsAValueOrAnError) {
  const Result<int> value = 3;
  EXPECT_TRUE(value.ok());
  EXPECT_EQ(*value, 3);
  const Result<int> error = kRefused;
  EXPECT_FALSE(error);
  EXPECT_EQ(error.error().message(), "rounds must be > 0, got 0");
}

TEST(ResultTest, MovesAValueOut) {
  Result<std::unique_ptr<int>> result = std::make_unique<int>(5);
  const std::unique_ptr<int> value = *std::move(result);
  EXPECT_EQ(*value, 5);
}

TEST(ResultTest, MacrosPassTheErrorOn) {
  EXPECT_EQ(*Quarter(8), 2);
  EXPECT_FALSE(Quarter(6).ok());
  EXPECT_TRUE(CheckQuarter(4).ok());
  EXPECT_EQ(CheckQuarter(3).error().message(), "odd");
}

TEST(ResultDeathTest, ReadingWhatIsNotThereAborts) {
  ::testing::GTEST_FLAG(death_test_style) = "threadsafe";
  const Result<int> error = kRefused;
  EXPECT_DEATH(static_cast<void>(error.value()), "internal error: ok\\(\\) does not hold");
  EXPECT_DEATH(static_cast<void>(Status().error()), "internal error");
}

TEST(ErrorTest, ContextStandsBeforeTheMessage) {
  const Error error = kRefused.WithContext("experiment.yaml:3:5");
  EXPECT_EQ(error.message(), "experiment.yaml:3:5: rounds must be > 0, got 0");
  EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
}

TEST(ErrorTest, EveryCodeHasANameOfItsOwn) {
  for (int code = 0; code <= static_cast<int>(ErrorCode::kInternal); ++code) {
    EXPECT_EQ(ErrorCodeFromName(ErrorCodeName(static_cast<ErrorCode>(code))),
              static_cast<ErrorCode>(code));
  }
  EXPECT_EQ(ErrorCodeFromName("no such code"), ErrorCode::kInternal);
}

TEST(ErrorTest, ExitCodesFollowTheContract) {
  const auto exit_code = [](ErrorCode code) { return ExitCode(Error(code, "")); };
  EXPECT_EQ(exit_code(ErrorCode::kInternal), 1);
  EXPECT_EQ(exit_code(ErrorCode::kUnavailable), 1);
  EXPECT_EQ(exit_code(ErrorCode::kInvalidArgument), 2);
  EXPECT_EQ(exit_code(ErrorCode::kNotFound), 2);
  EXPECT_EQ(exit_code(ErrorCode::kPermissionDenied), 3);
  EXPECT_EQ(exit_code(ErrorCode::kFederationFailed), 4);
  EXPECT_EQ(exit_code(ErrorCode::kCancelled), 130);
}

}  // namespace
}  // namespace fedmeta
