#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>

#include "fedmeta/core/bytes.h"
#include "fedmeta/core/digest.h"
#include "fedmeta/core/result.h"

namespace fedmeta {

/// Bytes of one upload as they come in, of a size and digest announced before. Thread-safe, so that
/// a sink writes it without the staging's lock.
class Arrival {
 public:
  Arrival(const Digest& digest, std::uint64_t size);

  const Digest& digest() const { return digest_; }
  std::uint64_t size() const { return size_; }  ///< announced
  std::uint64_t received() const;
  /// The payload; only once nobody writes it any more.
  std::span<const std::byte> bytes() const { return bytes_; }

  /// False: nothing is taken any more (see Detach). kResourceExhausted beyond the announced size.
  Result<bool> Write(std::span<const std::byte> data);
  /// Whole and verified: nothing is taken any more. kDataLoss: bytes are missing (resume), or they
  /// do not have the digest (all are dropped).
  Status Complete();
  /// Another stream took over, or the attempt is over: nothing is taken any more.
  void Detach();
  /// Detaches, and moves what came so far to an arrival that its client can resume. Null: nothing
  /// came, or it was detached before.
  std::shared_ptr<Arrival> DetachForResumption();

 private:
  const Digest digest_;
  const std::uint64_t size_;
  mutable std::mutex mutex_;
  Bytes bytes_;
  DigestBuilder hash_;
  bool detached_ = false;
};

}  // namespace fedmeta
