#pragma once

#include <cstddef>

#include "fedmeta/protocol/limits.h"

namespace fedmeta {

/// What our own streams send at a time. Larger pieces gain nothing; a smaller one is whole at a
/// slow site before the other side takes it for idle.
inline constexpr std::size_t kStreamPieceBytes = 256 * 1024;
static_assert(kStreamPieceBytes <= kPieceBytes);

}  // namespace fedmeta
