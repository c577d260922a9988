#include "fedmeta/privacy/key_agreement.h"

#include <array>
#include <memory>

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>

#include "fedmeta/core/check.h"

namespace fedmeta {
namespace {

struct FreeContext {
  void operator()(EVP_PKEY_CTX* context) const { EVP_PKEY_CTX_free(context); }
};
using Context = std::unique_ptr<EVP_PKEY_CTX, FreeContext>;

const unsigned char* Data(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

}  // namespace

void AgreementKey::Free::operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }

AgreementKey::AgreementKey(const SecretBytes& scalar) : public_(kSize, '\0') {
  const std::string_view raw = scalar.Expose();
  key_.reset(EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, nullptr, Data(raw), raw.size()));
  std::size_t size = kSize;
  FEDMETA_CHECK(key_ != nullptr &&
                EVP_PKEY_get_raw_public_key(
                    key_.get(), reinterpret_cast<unsigned char*>(public_.data()), &size) == 1 &&
                size == kSize);
}

Result<SecretBytes> AgreementKey::Agree(std::string_view peer) const {
  if (peer.size() != kSize) {
    return Error(ErrorCode::kInvalidArgument,
                 "an X25519 key has 32 bytes, got " + std::to_string(peer.size()));
  }
  const std::unique_ptr<EVP_PKEY, Free> other(
      EVP_PKEY_new_raw_public_key(EVP_PKEY_X25519, nullptr, Data(peer), peer.size()));
  const Context context(EVP_PKEY_CTX_new(key_.get(), nullptr));
  std::array<char, kSize> shared{};
  std::size_t size = shared.size();
  const bool agreed =
      other && context && EVP_PKEY_derive_init(context.get()) == 1 &&
      EVP_PKEY_derive_set_peer(context.get(), other.get()) == 1 &&
      EVP_PKEY_derive(context.get(), reinterpret_cast<unsigned char*>(shared.data()), &size) == 1;
  SecretBytes secret(std::string_view(shared.data(), shared.size()));
  OPENSSL_cleanse(shared.data(), shared.size());
  // OpenSSL refuses zeros too; that it does is not left to its version.
  const bool zeros = secret.Equals(SecretBytes(std::string(kSize, '\0')));
  if (!agreed) ERR_clear_error();
  if (!agreed || zeros) {
    return Error(ErrorCode::kInvalidArgument,
                 "an X25519 key of low order: its secret would be known to everybody");
  }
  return secret;
}

}  // namespace fedmeta
