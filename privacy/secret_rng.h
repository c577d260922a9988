#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "fedmeta/core/secret_bytes.h"

namespace fedmeta {

/// The operating system's generator (getrandom), for keys, masks and privacy noise: never seeded,
/// stored or copied. Not related to Rng, and neither converts to the other. Read ahead in pieces
/// that are wiped as they are used, so that noise for a million coordinates costs no million system
/// calls. Not thread-safe: one a thread. A machine without the generator is CHECKed: there is
/// nothing to fall back on.
class SecretRng {
 public:
  SecretRng() = default;
  ~SecretRng();
  SecretRng(const SecretRng&) = delete;
  SecretRng& operator=(const SecretRng&) = delete;

  void Fill(std::span<std::byte> bytes);
  SecretBytes Draw(std::size_t bytes);
  std::uint64_t Next64();
  /// In [0, bound), unbiased; bound > 0.
  std::uint64_t Below(std::uint64_t bound);

 private:
  std::array<std::byte, 1024> ahead_;
  std::size_t left_ = 0;  // unused bytes at the end of ahead_
};

}  // namespace fedmeta
