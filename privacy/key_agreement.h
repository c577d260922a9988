#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include <openssl/evp.h>

#include "fedmeta/core/result.h"
#include "fedmeta/core/secret_bytes.h"

// For this room only.
namespace fedmeta {

/// An X25519 key pair (RFC 7748), made for one session. Move-only; OpenSSL cleanses the private key
/// when it goes.
class AgreementKey {
 public:
  static constexpr std::size_t kSize = 32;
  AgreementKey() = default;  ///< none
  /// From 32 secret bytes.
  explicit AgreementKey(const SecretBytes& scalar);

  const std::string& public_key() const { return public_; }
  /// The shared secret, to be put through a key derivation. kInvalidArgument: `peer` is not 32
  /// bytes, or a key of low order, whose secret would be zeros for everybody.
  Result<SecretBytes> Agree(std::string_view peer) const;

 private:
  struct Free {
    void operator()(EVP_PKEY* key) const;
  };
  std::unique_ptr<EVP_PKEY, Free> key_;
  std::string public_;
};

}  // namespace fedmeta
