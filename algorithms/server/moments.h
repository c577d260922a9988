#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "fedmeta/core/bytes.h"
#include "fedmeta/core/result.h"

namespace fedmeta {

/// What an optimiser remembers between rounds: some vectors over the coordinates of the layout.
/// Saved as a line of text (whose, how many, how long) and the doubles as they are in memory, so
/// that restoring is bit-exact.
class Moments {
 public:
  /// `count` vectors of `coordinates` entries, all `initial`; `name` marks whose they are.
  Moments(std::string_view name, std::size_t count, std::size_t coordinates, double initial);

  /// Entries [first, first + size) of a vector. Outside the layout: a programming error (CHECK).
  std::span<double> Part(std::size_t vector, std::size_t first, std::size_t size);
  void Fill(std::size_t vector, double value);

  Bytes Save() const;
  /// An error for bytes that another optimiser, another layout or no optimiser saved, or that hold
  /// a value that is not finite; then nothing has changed.
  Status Restore(std::span<const std::byte> saved);

 private:
  std::string header_;  // first line of the saved form
  std::vector<std::vector<double>> vectors_;
};

}  // namespace fedmeta
