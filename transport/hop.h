#pragma once

#include <string>

namespace fedmeta {

/// One part of the way to the coordinator, for people and scripts.
struct Hop {
  std::string name;  ///< "name", "tcp", "proxy", "tls", "certificate", "verdict", "grpc",
                     ///< "member", "clock"
  bool passed = false;
  std::string text;  ///< what answered, or what is wrong and what to do
};

}  // namespace fedmeta
