#pragma once

#include "fedmeta/transport/coordinator_endpoint.h"
#include "fedmeta/v1/coordinator.pb.h"

namespace fedmeta {

/// `limits` of the coordinator's file, as the transport takes them.
inline TransportLimits TransportLimitsOf(const v1::Limits& limits) {
  const google::protobuf::Duration& idle = limits.upload_idle();
  return {.stream_idle_ms =
              static_cast<std::uint64_t>(idle.seconds() * 1000 + idle.nanos() / 1'000'000),
          .minimum_bytes_per_second = std::uint64_t{limits.minimum_kib_per_second()} * 1024,
          .calls_per_second = limits.calls_per_second(),
          .connections = limits.connections(),
          .handshakes = limits.handshakes()};
}

}  // namespace fedmeta
