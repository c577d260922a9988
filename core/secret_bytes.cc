#include "fedmeta/core/secret_bytes.h"

#include <openssl/crypto.h>

namespace fedmeta {

SecretBytes::SecretBytes(std::string_view content) : bytes_(content.begin(), content.end()) {}

SecretBytes& SecretBytes::operator=(SecretBytes&& other) noexcept {
  if (this != &other) {
    Cleanse();
    bytes_ = std::exchange(other.bytes_, {});
  }
  return *this;
}

bool SecretBytes::Equals(const SecretBytes& other) const {
  return bytes_.size() == other.bytes_.size() &&
         CRYPTO_memcmp(bytes_.data(), other.bytes_.data(), bytes_.size()) == 0;
}

void SecretBytes::Cleanse() {
  if (!bytes_.empty()) OPENSSL_cleanse(bytes_.data(), bytes_.size());
}

}  // namespace fedmeta
