#pragma once

#include <memory>
#include <mutex>

#include "fedmeta/core/bytes.h"
#include "fedmeta/core/digest.h"

namespace fedmeta {

/// The current leg's state, which clients download. Thread-safe.
class PublishedBlobs {
 public:
  void SetState(std::shared_ptr<const Bytes> state, const Digest& hash) {
    const std::lock_guard lock(mutex_);
    state_ = std::move(state);
    state_hash_ = hash;
  }
  std::shared_ptr<const Bytes> state() const {
    const std::lock_guard lock(mutex_);
    return state_;
  }
  /// Null: not published.
  std::shared_ptr<const Bytes> Find(const Digest& digest) const {
    const std::lock_guard lock(mutex_);
    return state_ && digest == state_hash_ ? state_ : nullptr;
  }

 private:
  mutable std::mutex mutex_;
  std::shared_ptr<const Bytes> state_;
  Digest state_hash_;
};

}  // namespace fedmeta
