#include "fedmeta/transport/grpc_status.h"

#include <algorithm>
#include <array>
#include <utility>

namespace fedmeta {
namespace {

constexpr std::array<std::pair<ErrorCode, grpc::StatusCode>, 13> kCodes = {{
    {ErrorCode::kCancelled, grpc::StatusCode::CANCELLED},
    {ErrorCode::kInvalidArgument, grpc::StatusCode::INVALID_ARGUMENT},
    {ErrorCode::kNotFound, grpc::StatusCode::NOT_FOUND},
    {ErrorCode::kAlreadyExists, grpc::StatusCode::ALREADY_EXISTS},
    {ErrorCode::kPermissionDenied, grpc::StatusCode::PERMISSION_DENIED},
    {ErrorCode::kUnauthenticated, grpc::StatusCode::UNAUTHENTICATED},
    {ErrorCode::kResourceExhausted, grpc::StatusCode::RESOURCE_EXHAUSTED},
    {ErrorCode::kFailedPrecondition, grpc::StatusCode::FAILED_PRECONDITION},
    {ErrorCode::kDeadlineExceeded, grpc::StatusCode::DEADLINE_EXCEEDED},
    {ErrorCode::kUnavailable, grpc::StatusCode::UNAVAILABLE},
    {ErrorCode::kDataLoss, grpc::StatusCode::DATA_LOSS},
    {ErrorCode::kFederationFailed, grpc::StatusCode::ABORTED},
    {ErrorCode::kInternal, grpc::StatusCode::INTERNAL},
}};

}  // namespace

grpc::Status ToGrpc(const Error& error) {
  const auto found = std::find_if(kCodes.begin(), kCodes.end(),
                                  [&](const auto& pair) { return pair.first == error.code(); });
  return {found == kCodes.end() ? grpc::StatusCode::INTERNAL : found->second, error.message()};
}

Error FromGrpc(const grpc::Status& status) {
  // gRPC reports a stream whose connection went away as UNKNOWN.
  if (status.error_code() == grpc::StatusCode::UNKNOWN)
    return {ErrorCode::kUnavailable, status.error_message()};
  const auto found = std::find_if(kCodes.begin(), kCodes.end(), [&](const auto& pair) {
    return pair.second == status.error_code();
  });
  return {found == kCodes.end() ? ErrorCode::kInternal : found->first, status.error_message()};
}

}  // namespace fedmeta
