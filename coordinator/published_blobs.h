#pragma once

#include <memory>
#include <mutex>

#include "fedmeta/core/bytes.h"
#include "fedmeta/core/digest.h"

namespace fedmeta {

/// The current leg's state, and what clients download of it. Thread-safe.
class PublishedBlobs {
 public:
  /// `sent`: what clients download of it, `hash` its digest.
  void SetState(std::shared_ptr<const Bytes> state, std::shared_ptr<const Bytes> sent,
                const Digest& hash) {
    const std::lock_guard lock(mutex_);
    state_ = std::move(state);
    sent_ = std::move(sent);
    sent_hash_ = hash;
  }
  std::shared_ptr<const Bytes> state() const {
    const std::lock_guard lock(mutex_);
    return state_;
  }
  /// Null: not published.
  std::shared_ptr<const Bytes> Find(const Digest& digest) const {
    const std::lock_guard lock(mutex_);
    return sent_ && digest == sent_hash_ ? sent_ : nullptr;
  }

 private:
  mutable std::mutex mutex_;
  std::shared_ptr<const Bytes> state_, sent_;
  Digest sent_hash_;
};

}  // namespace fedmeta
