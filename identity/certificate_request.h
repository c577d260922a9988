#pragma once

#include <string>
#include <vector>

#include "fedmeta/core/result.h"
#include "fedmeta/identity/identity_uri.h"
#include "fedmeta/identity/x509.h"

// For this room only: what requests and the certificates made of them have in common.
namespace fedmeta {

/// What a certificate is asked to say: who, and under which names a coordinator is dialled.
struct RequestedNames {
  IdentityUri identity;
  std::vector<std::string> dns_names, ip_addresses;
};

/// Only coordinators carry server names, and each has its form: afterwards nothing in them can be
/// read as OpenSSL's syntax.
Status CheckNames(const RequestedNames& names);
/// In OpenSSL's configuration syntax; the names were checked.
std::string AlternativeNameText(const RequestedNames& names);
/// For people who look; the identity is the URI SAN alone. X.509 allows a common name 64
/// characters.
bool SetCommonName(X509_NAME* name, const std::string& text);
bool SetOrganisation(X509_NAME* name, const std::string& text);
/// Checks the names; PEM, signed with `key`.
Result<std::string> RequestPem(const RequestedNames& names, EVP_PKEY* key);

}  // namespace fedmeta
