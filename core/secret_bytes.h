#pragma once

#include <cstddef>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

namespace fedmeta {

/// A password or key: move-only, unprintable, cleansed when it goes.
class SecretBytes {
 public:
  SecretBytes() = default;
  explicit SecretBytes(std::string_view content);
  ~SecretBytes() { Cleanse(); }
  SecretBytes(SecretBytes&& other) noexcept : bytes_(std::exchange(other.bytes_, {})) {}
  SecretBytes& operator=(SecretBytes&& other) noexcept;
  SecretBytes(const SecretBytes&) = delete;
  SecretBytes& operator=(const SecretBytes&) = delete;

  /// For the one call that needs it; do not keep the view.
  std::string_view Expose() const { return {bytes_.data(), bytes_.size()}; }
  bool empty() const { return bytes_.empty(); }
  /// In time that depends on the sizes only.
  bool Equals(const SecretBytes& other) const;

 private:
  void Cleanse();
  std::vector<char> bytes_;
};

}  // namespace fedmeta
