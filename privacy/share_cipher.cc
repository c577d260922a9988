#include "fedmeta/privacy/share_cipher.h"

#include <memory>

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>

#include "fedmeta/core/check.h"

namespace fedmeta {
namespace {

constexpr std::size_t kLargest = 1 << 20;

struct FreeContext {
  void operator()(EVP_CIPHER_CTX* context) const { EVP_CIPHER_CTX_free(context); }
};
using Context = std::unique_ptr<EVP_CIPHER_CTX, FreeContext>;

unsigned char* Data(std::string& text) { return reinterpret_cast<unsigned char*>(text.data()); }
const unsigned char* Data(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}
int Size(std::string_view text) { return static_cast<int>(text.size()); }

/// With the key set and the context authenticated.
Context Begin(const SecretBytes& key, std::string_view nonce, std::string_view context,
              bool sealing) {
  FEDMETA_CHECK(key.Expose().size() == 32 && nonce.size() == kZeroNonce.size() &&
                context.size() < kLargest);
  Context cipher(EVP_CIPHER_CTX_new());
  int ignored = 0;
  FEDMETA_CHECK(cipher &&
                EVP_CipherInit_ex(cipher.get(), EVP_chacha20_poly1305(), nullptr,
                                  Data(key.Expose()), Data(nonce), sealing ? 1 : 0) == 1 &&
                EVP_CipherUpdate(cipher.get(), nullptr, &ignored, Data(context), Size(context)) ==
                    1);
  return cipher;
}

}  // namespace

std::string Seal(const SecretBytes& key, std::string_view context, std::string_view text,
                 std::string_view nonce) {
  FEDMETA_CHECK(text.size() < kLargest);
  const Context cipher = Begin(key, nonce, context, true);
  std::string sealed(text.size() + kSealOverhead, '\0');
  int written = 0, finished = 0;
  FEDMETA_CHECK(EVP_CipherUpdate(cipher.get(), Data(sealed), &written, Data(text), Size(text)) ==
                    1 &&
                EVP_CipherFinal_ex(cipher.get(), Data(sealed) + written, &finished) == 1 &&
                EVP_CIPHER_CTX_ctrl(cipher.get(), EVP_CTRL_AEAD_GET_TAG, kSealOverhead,
                                    Data(sealed) + text.size()) == 1);
  return sealed;
}

std::optional<SecretBytes> OpenSealed(const SecretBytes& key, std::string_view context,
                                      std::string_view sealed, std::string_view nonce) {
  if (sealed.size() < kSealOverhead || sealed.size() > kLargest) return {};
  const Context cipher = Begin(key, nonce, context, false);
  const std::string_view body = sealed.substr(0, sealed.size() - kSealOverhead);
  std::string tag(sealed.substr(body.size()));
  std::string text(body.size(), '\0');
  int written = 0, finished = 0;
  const bool good =
      EVP_CipherUpdate(cipher.get(), Data(text), &written, Data(body), Size(body)) == 1 &&
      EVP_CIPHER_CTX_ctrl(cipher.get(), EVP_CTRL_AEAD_SET_TAG, kSealOverhead, tag.data()) == 1 &&
      EVP_CipherFinal_ex(cipher.get(), Data(text) + written, &finished) == 1;
  std::optional<SecretBytes> opened;
  if (good) {
    opened.emplace(text);
  } else {
    ERR_clear_error();
  }
  OPENSSL_cleanse(text.data(), text.size());
  return opened;
}

}  // namespace fedmeta
