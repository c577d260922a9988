#pragma once

#include <cstddef>

#include "fedmeta/protocol/limits.h"

namespace fedmeta {

/// What our own streams send at a time. An upload's piece must be whole before TransportLimits
/// counts its sender as idle: at the default of 30 s this one asks for 9 KiB a second.
inline constexpr std::size_t kStreamPieceBytes = 256 * 1024;
static_assert(kStreamPieceBytes <= kPieceBytes);

}  // namespace fedmeta
