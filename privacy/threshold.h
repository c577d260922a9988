#pragma once

#include <cstddef>

namespace fedmeta {

/// Clients of one session.
inline constexpr std::size_t kSmallestSession = 3;
inline constexpr std::size_t kLargestSession = 128;

/// t = floor(2n/3) + 1: shares that open a session of n clients. Computed by each client from the
/// members it sees, never sent. n - t clients may be lost while it is opened.
constexpr std::size_t OpeningThreshold(std::size_t members) { return 2 * members / 3 + 1; }

/// c = min(t - 3, n - t): members that may work with the coordinator without harm to the others.
/// 0, 0, 1, 3, 33 of 3, 4, 5, 10, 100.
constexpr std::size_t AssumedColluders(std::size_t members) {
  const std::size_t threshold = OpeningThreshold(members);
  const std::size_t honest = members - threshold;
  return threshold - 3 < honest ? threshold - 3 : honest;
}

}  // namespace fedmeta
