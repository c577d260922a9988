#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <openssl/evp.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "fedmeta/core/clock.h"
#include "fedmeta/core/digest.h"
#include "fedmeta/core/result.h"

// OpenSSL's objects as owned values, for this room only. Errors name the file and what OpenSSL
// said.
namespace fedmeta::x509 {

template <auto kFree>
struct Free {
  template <typename T>
  void operator()(T* object) const {
    kFree(object);
  }
};
using Certificate = std::unique_ptr<X509, Free<X509_free>>;
using Request = std::unique_ptr<X509_REQ, Free<X509_REQ_free>>;
using Key = std::unique_ptr<EVP_PKEY, Free<EVP_PKEY_free>>;
using Crl = std::unique_ptr<X509_CRL, Free<X509_CRL_free>>;
using Buffer = std::unique_ptr<BIO, Free<BIO_free_all>>;

/// Subject alternative names, as the raw bytes that stand there; `other`: of a kind we do not use.
struct AlternativeNames {
  std::vector<std::string> uris, dns_names, ip_addresses;
  bool other = false;
};

/// The oldest entry of OpenSSL's error queue, which is emptied.
std::string LastError();
/// Reads from `text` without copying; `text` outlives it.
Buffer Reader(std::string_view text);
/// What was written into a memory buffer.
std::string_view Content(const Buffer& buffer);

/// Every certificate of a PEM file, at least one.
Result<std::vector<Certificate>> ParseCertificates(std::string_view pem,
                                                   const std::filesystem::path& path);
/// Every revocation list of a PEM file, at least one.
Result<std::vector<Crl>> ParseCrls(std::string_view pem, const std::filesystem::path& path);
Result<Request> ParseRequest(std::string_view pem, const std::filesystem::path& path);
Result<Key> ParseKey(std::string_view pem, const std::filesystem::path& path);

AlternativeNames NamesOf(X509* certificate);
AlternativeNames NamesOf(X509_REQ* request);
bool IsP256(const EVP_PKEY* key);
/// {} for no time.
WallTime ToWallTime(const ASN1_TIME* time);
std::string SerialHex(const ASN1_INTEGER* serial);
/// RFC 2253, as text.
std::string NameText(const X509_NAME* name);
/// SHA-256 of what an i2d function allocated; frees it.
Digest DerDigest(int size, unsigned char* der);
Digest Fingerprint(X509* certificate);
/// The subject's organisation; nothing unless there is exactly one.
std::optional<std::string> OrganisationOf(X509* certificate);

}  // namespace fedmeta::x509
