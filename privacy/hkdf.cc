#include "fedmeta/privacy/hkdf.h"

#include <memory>
#include <string>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/kdf.h>
#include <openssl/params.h>

#include "fedmeta/core/check.h"

namespace fedmeta {
namespace {

OSSL_PARAM Octets(const char* name, std::string_view text) {
  return OSSL_PARAM_construct_octet_string(name, const_cast<char*>(text.data()), text.size());
}

}  // namespace

SecretBytes Hkdf(std::string_view secret, std::string_view salt, std::string_view info,
                 std::size_t size) {
  const auto free_context = [](EVP_KDF_CTX* context) { EVP_KDF_CTX_free(context); };
  EVP_KDF* kdf = EVP_KDF_fetch(nullptr, "HKDF", nullptr);
  const std::unique_ptr<EVP_KDF_CTX, decltype(free_context)> context(EVP_KDF_CTX_new(kdf),
                                                                     free_context);
  EVP_KDF_free(kdf);
  std::string digest = "SHA256";
  const OSSL_PARAM parameters[] = {
      OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest.data(), 0),
      Octets(OSSL_KDF_PARAM_KEY, secret), Octets(OSSL_KDF_PARAM_SALT, salt),
      Octets(OSSL_KDF_PARAM_INFO, info), OSSL_PARAM_construct_end()};
  std::string key(size, '\0');
  FEDMETA_CHECK(context &&
                EVP_KDF_derive(context.get(), reinterpret_cast<unsigned char*>(key.data()),
                               key.size(), parameters) == 1);
  SecretBytes derived(key);
  OPENSSL_cleanse(key.data(), key.size());
  return derived;
}

}  // namespace fedmeta
