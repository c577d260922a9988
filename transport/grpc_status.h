#pragma once

#include <grpcpp/support/status.h>

#include "fedmeta/core/result.h"

namespace fedmeta {

/// One to one in both directions. Codes that our coordinator never sends come from between the two
/// (a proxy, a broken connection) and read as kUnavailable or kInternal.
grpc::Status ToGrpc(const Error& error);
Error FromGrpc(const grpc::Status& status);

}  // namespace fedmeta
