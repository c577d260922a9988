#include <set>

#include <gtest/gtest.h>

#include "fedmeta/transport/grpc_status.h"

namespace fedmeta {
namespace {

TEST(GrpcStatusTest, EveryCodeSurvivesTheWireUnderItsOwnStatus) {
  std::set<grpc::StatusCode> seen;
  for (int i = 0; i <= static_cast<int>(ErrorCode::kInternal); ++i) {
    const Error error(static_cast<ErrorCode>(i), "why");
    const grpc::Status status = ToGrpc(error);
    EXPECT_TRUE(seen.insert(status.error_code()).second) << ErrorCodeName(error.code());
    EXPECT_EQ(FromGrpc(status).code(), error.code());
    EXPECT_EQ(FromGrpc(status).message(), "why");
  }
}

TEST(GrpcStatusTest, StreamThatWentAwayMayBeTriedAgain) {
  EXPECT_EQ(FromGrpc({grpc::StatusCode::UNKNOWN, "Stream removed"}).code(),
            ErrorCode::kUnavailable);
}

TEST(GrpcStatusTest, StatusThatIsNotOursIsInternal) {
  EXPECT_EQ(FromGrpc({grpc::StatusCode::UNIMPLEMENTED, ""}).code(), ErrorCode::kInternal);
}

}  // namespace
}  // namespace fedmeta
