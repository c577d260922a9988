#include "fedmeta/privacy/secret_rng.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>
#include <sys/random.h>

#include <openssl/crypto.h>

#include "fedmeta/core/check.h"
#include "fedmeta/core/uniform_below.h"

namespace fedmeta {
namespace {

void FillFromSystem(std::span<std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t got = ::getrandom(bytes.data(), bytes.size(), 0);
    FEDMETA_CHECK(got > 0 || errno == EINTR);
    if (got > 0) bytes = bytes.subspan(static_cast<std::size_t>(got));
  }
}

}  // namespace

SecretRng::~SecretRng() { OPENSSL_cleanse(ahead_.data(), ahead_.size()); }

void SecretRng::Fill(std::span<std::byte> bytes) {
  if (bytes.size() >= ahead_.size()) return FillFromSystem(bytes);
  while (!bytes.empty()) {
    if (left_ == 0) {
      FillFromSystem(ahead_);
      left_ = ahead_.size();
    }
    const std::size_t take = std::min(left_, bytes.size());
    const std::span<std::byte> from = std::span(ahead_).last(left_).first(take);
    std::memcpy(bytes.data(), from.data(), take);
    OPENSSL_cleanse(from.data(), take);
    left_ -= take;
    bytes = bytes.subspan(take);
  }
}

SecretBytes SecretRng::Draw(std::size_t bytes) {
  std::string drawn(bytes, '\0');
  Fill(std::as_writable_bytes(std::span(drawn)));
  SecretBytes secret(drawn);
  OPENSSL_cleanse(drawn.data(), drawn.size());
  return secret;
}

std::uint64_t SecretRng::Next64() {
  std::uint64_t word = 0;
  Fill(std::as_writable_bytes(std::span(&word, 1)));
  return word;
}

std::uint64_t SecretRng::Below(std::uint64_t bound) { return UniformBelow(*this, bound); }

}  // namespace fedmeta
