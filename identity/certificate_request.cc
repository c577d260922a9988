#include "fedmeta/identity/certificate_request.h"

#include <arpa/inet.h>

#include <openssl/pem.h>

#include "fedmeta/core/file.h"
#include "fedmeta/identity/authority.h"
#include "fedmeta/identity/authority_files.h"
#include "fedmeta/identity/private_key_file.h"

namespace fedmeta {

namespace {

bool AddName(X509_NAME* name, const char* field, const std::string& text) {
  return X509_NAME_add_entry_by_txt(name, field, MBSTRING_UTF8,
                                    reinterpret_cast<const unsigned char*>(text.data()),
                                    static_cast<int>(text.size()), -1, 0) == 1;
}

}  // namespace

bool SetCommonName(X509_NAME* name, const std::string& text) {
  return AddName(name, "CN", text.substr(0, 64));
}

bool SetOrganisation(X509_NAME* name, const std::string& text) { return AddName(name, "O", text); }

std::string AlternativeNameText(const RequestedNames& names) {
  std::string text = "URI:" + names.identity.ToString();
  for (const std::string& name : names.dns_names) text += ",DNS:" + name;
  for (const std::string& address : names.ip_addresses) text += ",IP:" + address;
  return text;
}

Status CheckNames(const RequestedNames& names) {
  FEDMETA_RETURN_IF_ERROR(IdentityUri::Parse(names.identity.ToString()));
  if (names.identity.role != IdentityRole::kCoordinator &&
      (!names.dns_names.empty() || !names.ip_addresses.empty())) {
    return Error(
        ErrorCode::kInvalidArgument,
        "only a coordinator's certificate carries DNS names and IP addresses, not that of " +
            names.identity.ToString() + ": leave them out");
  }
  for (const std::string& name : names.dns_names) {
    const bool fits =
        !name.empty() && name.size() <= 253 &&
        name.find_first_not_of(
            "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.") == name.npos;
    if (!fits)
      return Error(ErrorCode::kInvalidArgument,
                   "a DNS name must be letters, digits, '-' and '.', without '*', at most 253");
  }
  for (const std::string& address : names.ip_addresses) {
    unsigned char raw[16];
    if (inet_pton(AF_INET, address.c_str(), raw) != 1 &&
        inet_pton(AF_INET6, address.c_str(), raw) != 1) {
      return Error(ErrorCode::kInvalidArgument,
                   "an IP address of the request is not an IPv4 or IPv6 address");
    }
  }
  return {};
}

Result<std::string> RequestPem(const RequestedNames& names, EVP_PKEY* key) {
  FEDMETA_RETURN_IF_ERROR(CheckNames(names));
  const x509::Request request(X509_REQ_new());
  const auto free_all = [](STACK_OF(X509_EXTENSION) * all) {
    sk_X509_EXTENSION_pop_free(all, X509_EXTENSION_free);
  };
  const std::unique_ptr<STACK_OF(X509_EXTENSION), decltype(free_all)> extensions(
      sk_X509_EXTENSION_new_null(), free_all);
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, nullptr, NID_subject_alt_name,
                                                  AlternativeNameText(names).c_str());
  const bool built = key != nullptr && request && extensions && extension != nullptr &&
                     sk_X509_EXTENSION_push(extensions.get(), extension) > 0 &&
                     SetCommonName(X509_REQ_get_subject_name(request.get()), names.identity.name) &&
                     X509_REQ_add_extensions(request.get(), extensions.get()) == 1 &&
                     X509_REQ_set_pubkey(request.get(), key) == 1 &&
                     X509_REQ_sign(request.get(), key, EVP_sha256()) > 0;
  if (!built) return OpenSslFailed("make a certificate request");
  const x509::Buffer buffer(BIO_new(BIO_s_mem()));
  if (PEM_write_bio_X509_REQ(buffer.get(), request.get()) != 1)
    return OpenSslFailed("write a certificate request");
  return std::string(x509::Content(buffer));
}

Result<std::filesystem::path> MakeRequest(const RequestOptions& options) {
  const x509::Key key(EVP_EC_gen(SN_X9_62_prime256v1));
  FEDMETA_ASSIGN_OR_RETURN(const std::string request,
                           RequestPem({.identity = options.identity,
                                       .dns_names = options.dns_names,
                                       .ip_addresses = options.ip_addresses},
                                      key.get()));
  FEDMETA_RETURN_IF_ERROR(MakeWritableFolder(options.dir, 0700));
  const std::filesystem::path key_path = options.dir / (options.identity.name + ".key");
  const std::filesystem::path request_path = options.dir / (options.identity.name + ".csr");
  FEDMETA_RETURN_IF_ERROR(WritePrivateKey(key_path, key.get()));
  if (const Status status = WriteFileAtomically(request_path, request); !status.ok()) {
    std::error_code
        ignored;  // a key without its request is of no use, and would block the next try
    std::filesystem::remove(key_path, ignored);
    return status.error();
  }
  return request_path;
}

}  // namespace fedmeta
