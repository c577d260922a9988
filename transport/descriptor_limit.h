#pragma once

#include <string>

#include "fedmeta/transport/coordinator_endpoint.h"

namespace fedmeta {

/// How many files and sockets this process may have open.
struct DescriptorLimit {
  int all = 0;
  int for_connections = 0;  ///< less what the store, the run folder and gRPC itself need
};
DescriptorLimit HardDescriptorLimit();
/// Raises the soft limit to the hard one.
DescriptorLimit RaiseDescriptorLimit();
/// What to do if the limit is too low for the connections allowed; empty: it is not.
std::string TooFewDescriptors(const DescriptorLimit& limit, const TransportLimits& limits);

}  // namespace fedmeta
