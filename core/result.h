#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "fedmeta/core/check.h"

namespace fedmeta {

/// What went wrong, in terms that survive a process or network boundary.
/// Names and meanings follow gRPC's status codes; exit codes follow ExitCode().
enum class ErrorCode : std::uint8_t {
  kCancelled,        ///< asked to stop
  kInvalidArgument,  ///< bad usage, configuration, data or message; final
  kNotFound,
  kAlreadyExists,       ///< same key, different body
  kPermissionDenied,    ///< identity, role or policy
  kUnauthenticated,     ///< no acceptable certificate
  kResourceExhausted,   ///< a bound was passed: size, rate, memory, disk
  kFailedPrecondition,  ///< stale round, wrong phase, lease lost
  kDeadlineExceeded,
  kUnavailable,       ///< try later
  kDataLoss,          ///< digest or length does not match
  kFederationFailed,  ///< quorum lost, deadline passed
  kInternal,          ///< environment or programming error
};

/// "invalid_argument", ...; stable, used on the wire and in records.
std::string_view ErrorCodeName(ErrorCode code);
/// Inverse of ErrorCodeName; kInternal for an unknown name.
ErrorCode ErrorCodeFromName(std::string_view name);

/// An error names the field or file, the value, the bound and what to do; never a value from
/// private data.
class [[nodiscard]] Error {
 public:
  Error(ErrorCode code, std::string message) : code_(code), message_(std::move(message)) {}
  ErrorCode code() const { return code_; }
  const std::string& message() const { return message_; }
  /// The same error seen from further out: "context: message".
  Error WithContext(std::string_view context) const;

 private:
  ErrorCode code_;
  std::string message_;
};

/// 0 is success; 1 environment, 2 usage or configuration, 3 policy or budget, 4 federation failed,
/// 130 interrupted.
int ExitCode(const Error& error);

/// A value or an error. Reading the one that is not there is a programming error (CHECK).
template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value)
      : content_(std::in_place_index<0>, std::move(value)) {}  // NOLINT: implicit by design
  Result(Error error)
      : content_(std::in_place_index<1>, std::move(error)) {}  // NOLINT: implicit by design

  bool ok() const { return content_.index() == 0; }
  explicit operator bool() const { return ok(); }
  const Error& error() const {
    FEDMETA_CHECK(!ok());
    return std::get<1>(content_);
  }
  T& value() & {
    FEDMETA_CHECK(ok());
    return std::get<0>(content_);
  }
  const T& value() const& {
    FEDMETA_CHECK(ok());
    return std::get<0>(content_);
  }
  T&& value() && {
    FEDMETA_CHECK(ok());
    return std::get<0>(std::move(content_));
  }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

 private:
  std::variant<T, Error> content_;
};

/// Success or an error.
class [[nodiscard]] Status {
 public:
  Status() = default;
  Status(Error error) : error_(std::move(error)) {}  // NOLINT: implicit by design
  bool ok() const { return !error_.has_value(); }
  explicit operator bool() const { return ok(); }
  const Error& error() const {
    FEDMETA_CHECK(!ok());
    return *error_;
  }

 private:
  std::optional<Error> error_;
};

}  // namespace fedmeta

/// Returns the error of a Status or Result from the enclosing function.
#define FEDMETA_RETURN_IF_ERROR(expression)                                                      \
  do {                                                                                           \
    if (auto fedmeta_status = (expression); !fedmeta_status.ok()) return fedmeta_status.error(); \
  } while (false)

#define FEDMETA_CONCATENATE_INNER(a, b) a##b
#define FEDMETA_CONCATENATE(a, b) FEDMETA_CONCATENATE_INNER(a, b)
/// FEDMETA_ASSIGN_OR_RETURN(auto x, F());  declares or assigns, or returns the error.
#define FEDMETA_ASSIGN_OR_RETURN(target, expression) \
  FEDMETA_ASSIGN_OR_RETURN_IMPL(FEDMETA_CONCATENATE(fedmeta_result_, __LINE__), target, expression)
#define FEDMETA_ASSIGN_OR_RETURN_IMPL(result, target, expression) \
  auto result = (expression);                                     \
  if (!result.ok()) return result.error();                        \
  target = std::move(result).value()
