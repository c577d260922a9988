#pragma once

#include <string>

#include "fedmeta/core/result.h"

namespace fedmeta {

/// "host:port", "[::1]:port"; kInvalidArgument otherwise.
Status CheckListenAddress(const std::string& address);
/// What the system says to listening there, after gRPC only said that it failed: "port in use",
/// "permission denied".
std::string WhyNotListening(const std::string& address);

}  // namespace fedmeta
