#pragma once

#include <memory>
#include <mutex>
#include <string_view>

#include "fedmeta/core/bytes.h"
#include "fedmeta/core/digest.h"

namespace fedmeta {

/// What clients may download at present: the current leg's assignment and state. Thread-safe.
class PublishedBlobs {
 public:
  void SetAssignment(std::string_view bytes) {
    const std::lock_guard lock(mutex_);
    const auto assignment = AsBytes(bytes);
    assignment_ = std::make_shared<const Bytes>(assignment.begin(), assignment.end());
    assignment_hash_ = Digest::Of(bytes);
  }
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
    if (state_ && digest == state_hash_) return state_;
    return assignment_ && digest == assignment_hash_ ? assignment_ : nullptr;
  }

 private:
  mutable std::mutex mutex_;
  std::shared_ptr<const Bytes> state_, assignment_;
  Digest state_hash_, assignment_hash_;
};

}  // namespace fedmeta
