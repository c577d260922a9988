#include "fedmeta/identity/x509.h"

#include <arpa/inet.h>
#include <ctime>

#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/pem.h>

#include "fedmeta/core/digest.h"

namespace fedmeta::x509 {
namespace {

using GeneralNames = std::unique_ptr<GENERAL_NAMES, Free<GENERAL_NAMES_free>>;

// Without a terminal prompt: an encrypted key is an error, not a question.
int NoPassphrase(char*, int, int, void*) { return 0; }

std::string Raw(const ASN1_STRING* text) {
  return {reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
          static_cast<std::size_t>(ASN1_STRING_length(text))};
}

std::string AddressText(const ASN1_OCTET_STRING* address) {
  const std::string raw = Raw(address);
  char text[INET6_ADDRSTRLEN];
  const int family = raw.size() == 4 ? AF_INET : AF_INET6;
  if (raw.size() != 4 && raw.size() != 16) return "invalid";
  return inet_ntop(family, raw.data(), text, sizeof(text)) ? text : "invalid";
}

AlternativeNames Sort(const GENERAL_NAMES* names) {
  AlternativeNames sorted;
  for (int i = 0; names != nullptr && i < sk_GENERAL_NAME_num(names); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names, i);
    switch (name->type) {
      case GEN_URI:
        sorted.uris.push_back(Raw(name->d.uniformResourceIdentifier));
        break;
      case GEN_DNS:
        sorted.dns_names.push_back(Raw(name->d.dNSName));
        break;
      case GEN_IPADD:
        sorted.ip_addresses.push_back(AddressText(name->d.iPAddress));
        break;
      default:
        sorted.other = true;
    }
  }
  return sorted;
}

Error NotPem(const std::filesystem::path& path, const std::string& what) {
  return {ErrorCode::kInvalidArgument,
          path.string() + " holds no " + what + " in PEM form: " + LastError()};
}

/// Every object of a kind, at least one; the file ends with the last.
template <typename Object, typename Read>
Result<std::vector<Object>> ParseAll(std::string_view pem, const std::filesystem::path& path,
                                     const char* what, Read read) {
  const Buffer reader = Reader(pem);
  std::vector<Object> objects;
  while (auto* object = read(reader.get(), nullptr, NoPassphrase, nullptr)) {
    objects.emplace_back(object);
  }
  const unsigned long code = ERR_peek_last_error();
  const bool at_end =
      ERR_GET_LIB(code) == ERR_LIB_PEM && ERR_GET_REASON(code) == PEM_R_NO_START_LINE;
  if (objects.empty() || !at_end) return NotPem(path, what);
  ERR_clear_error();
  return objects;
}

}  // namespace

std::string LastError() {
  const unsigned long code = ERR_get_error();
  ERR_clear_error();
  const char* reason = code == 0 ? nullptr : ERR_reason_error_string(code);
  return reason != nullptr ? reason : "unknown error";
}

Buffer Reader(std::string_view text) {
  return Buffer(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

std::string_view Content(const Buffer& buffer) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(buffer.get(), &data);
  return {data, static_cast<std::size_t>(size)};
}

Result<std::vector<Certificate>> ParseCertificates(std::string_view pem,
                                                   const std::filesystem::path& path) {
  return ParseAll<Certificate>(pem, path, "certificate", PEM_read_bio_X509);
}

Result<std::vector<Crl>> ParseCrls(std::string_view pem, const std::filesystem::path& path) {
  return ParseAll<Crl>(pem, path, "revocation list", PEM_read_bio_X509_CRL);
}

Result<Request> ParseRequest(std::string_view pem, const std::filesystem::path& path) {
  const Buffer reader = Reader(pem);
  Request request(PEM_read_bio_X509_REQ(reader.get(), nullptr, NoPassphrase, nullptr));
  if (!request) return NotPem(path, "certificate request");
  return request;
}

Result<Key> ParseKey(std::string_view pem, const std::filesystem::path& path) {
  const Buffer reader = Reader(pem);
  Key key(PEM_read_bio_PrivateKey(reader.get(), nullptr, NoPassphrase, nullptr));
  if (!key) return NotPem(path, "unencrypted private key");
  return key;
}

AlternativeNames NamesOf(X509* certificate) {
  const GeneralNames names(static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
  return Sort(names.get());
}

AlternativeNames NamesOf(X509_REQ* request) {
  const auto free_all = [](STACK_OF(X509_EXTENSION) * all) {
    sk_X509_EXTENSION_pop_free(all, X509_EXTENSION_free);
  };
  const std::unique_ptr<STACK_OF(X509_EXTENSION), decltype(free_all)> extensions(
      X509_REQ_get_extensions(request), free_all);
  const GeneralNames names(static_cast<GENERAL_NAMES*>(
      X509V3_get_d2i(extensions.get(), NID_subject_alt_name, nullptr, nullptr)));
  return Sort(names.get());
}

bool IsP256(const EVP_PKEY* key) {
  char group[64] = {};
  return key != nullptr && EVP_PKEY_get_base_id(key) == EVP_PKEY_EC &&
         EVP_PKEY_get_group_name(key, group, sizeof(group), nullptr) == 1 &&
         std::string_view(group) == SN_X9_62_prime256v1;
}

WallTime ToWallTime(const ASN1_TIME* time) {
  std::tm parts{};
  // OpenSSL takes no time for the present one.
  if (time == nullptr || ASN1_TIME_to_tm(time, &parts) != 1) return {};
  return WallTime(std::chrono::seconds(timegm(&parts)));
}

std::string SerialHex(const ASN1_INTEGER* serial) {
  const std::unique_ptr<BIGNUM, Free<BN_free>> number(ASN1_INTEGER_to_BN(serial, nullptr));
  char* hex = BN_bn2hex(number.get());
  const std::string text = hex != nullptr ? hex : "";
  OPENSSL_free(hex);
  return text;
}

std::string NameText(const X509_NAME* name) {
  const Buffer buffer(BIO_new(BIO_s_mem()));
  X509_NAME_print_ex(buffer.get(), name, 0, XN_FLAG_RFC2253 & ~ASN1_STRFLGS_ESC_MSB);
  return std::string(Content(buffer));
}

Digest DerDigest(int size, unsigned char* der) {
  if (size <= 0) return {};
  const Digest digest = Digest::Of(std::as_bytes(std::span(der, static_cast<std::size_t>(size))));
  OPENSSL_free(der);
  return digest;
}

Digest Fingerprint(X509* certificate) {
  unsigned char* der = nullptr;
  const int size = i2d_X509(certificate, &der);
  return DerDigest(size, der);
}

std::optional<std::string> OrganisationOf(X509* certificate) {
  const X509_NAME* subject = X509_get_subject_name(certificate);
  const int at = X509_NAME_get_index_by_NID(subject, NID_organizationName, -1);
  if (at < 0 || X509_NAME_get_index_by_NID(subject, NID_organizationName, at) >= 0) return {};
  unsigned char* utf8 = nullptr;
  const int size =
      ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
  if (size <= 0) return {};
  std::string organisation(reinterpret_cast<const char*>(utf8), static_cast<std::size_t>(size));
  OPENSSL_free(utf8);
  return organisation;
}

}  // namespace fedmeta::x509
