#pragma once

#include <cstddef>
#include <vector>

#include "fedmeta/core/rng.h"

// For this room only.
namespace fedmeta {

/// `count` of the numbers 0 to size - 1, ascending; each such choice is equally likely (Floyd's
/// algorithm, in Bentley and Floyd 1987, "Programming pearls: a sample of brilliance"). `count` <=
/// `size`.
std::vector<std::size_t> SampleCoordinates(std::size_t size, std::size_t count, Rng& rng);

}  // namespace fedmeta
