#include "fedmeta/privacy/coordinate_sample.h"

#include "fedmeta/core/check.h"

namespace fedmeta {

std::vector<std::size_t> SampleCoordinates(std::size_t size, std::size_t count, Rng& rng) {
  FEDMETA_CHECK(count <= size);
  // What is drawn is left out where that is less to draw.
  const bool leave_out = count > size / 2;
  std::vector<bool> drawn(size);
  for (std::size_t top = size - (leave_out ? size - count : count); top < size; ++top) {
    const std::size_t candidate = rng.Below(top + 1);
    drawn[drawn[candidate] ? top : candidate] = true;
  }
  std::vector<std::size_t> sample;
  sample.reserve(count);
  for (std::size_t i = 0; i < size; ++i) {
    if (drawn[i] != leave_out) sample.push_back(i);
  }
  return sample;
}

}  // namespace fedmeta
