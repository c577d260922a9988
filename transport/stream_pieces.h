#pragma once

#include <cstddef>

#include "fedmeta/protocol/limits.h"
#include "fedmeta/transport/coordinator_endpoint.h"

namespace fedmeta {

/// What our own streams send at a time. A piece must be whole before TransportLimits counts its
/// sender as idle: at the default of 30 s this one asks for 2.2 KiB a second, less than the least
/// average speed, so that no peer resumes for ever that the average would let through.
inline constexpr std::size_t kStreamPieceBytes = 64 * 1024;
static_assert(kStreamPieceBytes <= kPieceBytes);
static_assert(kStreamPieceBytes * 1000 <
              TransportLimits().minimum_bytes_per_second * TransportLimits().stream_idle_ms);

}  // namespace fedmeta
