#include "fedmeta/coordinator/arrival.h"

#include <string>
#include <utility>

namespace fedmeta {

Arrival::Arrival(const Digest& digest, std::uint64_t size) : digest_(digest), size_(size) {}

std::uint64_t Arrival::received() const {
  const std::lock_guard lock(mutex_);
  return bytes_.size();
}

Result<bool> Arrival::Write(std::span<const std::byte> data) {
  const std::lock_guard lock(mutex_);
  if (detached_) return false;
  if (data.size() > size_ - bytes_.size()) {
    return Error(ErrorCode::kResourceExhausted,
                 "upload: more than the announced " + std::to_string(size_) + " bytes");
  }
  if (bytes_.empty()) bytes_.reserve(size_);
  bytes_.insert(bytes_.end(), data.begin(), data.end());
  hash_.Add(data);
  return true;
}

Status Arrival::Complete() {
  const std::lock_guard lock(mutex_);
  if (bytes_.size() < size_) {
    return Error(ErrorCode::kDataLoss, "upload: " + std::to_string(bytes_.size()) + " of " +
                                           std::to_string(size_) + " bytes came: resume");
  }
  detached_ = true;
  if (hash_.Finish() == digest_) return {};
  bytes_.clear();
  return Error(ErrorCode::kDataLoss,
               "upload: the bytes do not have the announced SHA-256: send them again");
}

void Arrival::Detach() {
  const std::lock_guard lock(mutex_);
  detached_ = true;
}

std::shared_ptr<Arrival> Arrival::DetachForResumption() {
  const std::lock_guard lock(mutex_);
  if (std::exchange(detached_, true) || bytes_.empty()) return nullptr;
  auto kept = std::make_shared<Arrival>(digest_, size_);
  kept->bytes_ = std::move(bytes_);
  kept->hash_ = std::move(hash_);
  return kept;
}

}  // namespace fedmeta
