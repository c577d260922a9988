#include "fedmeta/core/result.h"

#include <array>
#include <cstdio>
#include <cstdlib>

namespace fedmeta {
namespace {
constexpr std::array<std::string_view, 13> kNames = {
    "cancelled",         "invalid_argument", "not_found",          "already_exists",
    "permission_denied", "unauthenticated",  "resource_exhausted", "failed_precondition",
    "deadline_exceeded", "unavailable",      "data_loss",          "federation_failed",
    "internal"};
}  // namespace

std::string_view ErrorCodeName(ErrorCode code) { return kNames[static_cast<std::size_t>(code)]; }

ErrorCode ErrorCodeFromName(std::string_view name) {
  for (std::size_t i = 0; i < kNames.size(); ++i) {
    if (kNames[i] == name) return static_cast<ErrorCode>(i);
  }
  return ErrorCode::kInternal;
}

Error Error::WithContext(std::string_view context) const {
  return {code_, std::string(context) + ": " + message_};
}

int ExitCode(const Error& error) {
  switch (error.code()) {
    case ErrorCode::kInvalidArgument:
    case ErrorCode::kNotFound:
    case ErrorCode::kAlreadyExists:
      return 2;
    case ErrorCode::kPermissionDenied:
      return 3;
    case ErrorCode::kFederationFailed:
    case ErrorCode::kDeadlineExceeded:
      return 4;
    case ErrorCode::kCancelled:
      return 130;
    default:
      return 1;
  }
}

void CheckFailed(const char* condition, const char* file, int line) {
  std::fprintf(stderr, "fedmeta: internal error: %s does not hold (%s:%d); please report this\n",
               condition, file, line);
  std::abort();
}

}  // namespace fedmeta
