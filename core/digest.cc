#include "fedmeta/core/digest.h"

#include <algorithm>

#include <openssl/evp.h>

#include "fedmeta/core/bytes.h"
#include "fedmeta/core/hex.h"

namespace fedmeta {

struct DigestBuilder::Context {
  EVP_MD_CTX* evp = EVP_MD_CTX_new();
  ~Context() { EVP_MD_CTX_free(evp); }
};

DigestBuilder::DigestBuilder() : context_(std::make_unique<Context>()) {
  FEDMETA_CHECK(EVP_DigestInit_ex(context_->evp, EVP_sha256(), nullptr) == 1);
}
DigestBuilder::~DigestBuilder() = default;
DigestBuilder::DigestBuilder(DigestBuilder&&) noexcept = default;
DigestBuilder& DigestBuilder::operator=(DigestBuilder&&) noexcept = default;

void DigestBuilder::Add(std::span<const std::byte> data) {
  FEDMETA_CHECK(EVP_DigestUpdate(context_->evp, data.data(), data.size()) == 1);
}

Digest DigestBuilder::Finish() {
  Digest digest;
  unsigned int size = 0;
  FEDMETA_CHECK(EVP_DigestFinal_ex(context_->evp, digest.value_.data(), &size) == 1 &&
                size == Digest::kSize);
  return digest;
}

Result<Digest> Digest::FromBytes(std::string_view bytes) {
  if (bytes.size() != kSize) {
    return Error(ErrorCode::kInvalidArgument,
                 "a SHA-256 digest has 32 bytes, got " + std::to_string(bytes.size()));
  }
  Digest digest;
  std::copy(bytes.begin(), bytes.end(), digest.value_.begin());
  return digest;
}

Digest Digest::Of(std::span<const std::byte> data) {
  DigestBuilder builder;
  builder.Add(data);
  return builder.Finish();
}
Digest Digest::Of(std::string_view text) { return Of(AsBytes(text)); }

std::string Digest::bytes() const { return {value_.begin(), value_.end()}; }

std::string Digest::hex() const { return ToHex(bytes()); }

}  // namespace fedmeta
