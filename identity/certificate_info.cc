#include "fedmeta/core/file.h"
#include "fedmeta/identity/authority.h"
#include "fedmeta/identity/x509.h"

namespace fedmeta {
namespace {

constexpr double kSecondsPerDay = 86'400;

std::vector<std::string> Usages(X509* certificate) {
  struct Named {
    std::uint32_t bit;
    const char* name;
  };
  constexpr Named kKeyUsages[] = {{KU_DIGITAL_SIGNATURE, "digitalSignature"},
                                  {KU_KEY_CERT_SIGN, "keyCertSign"},
                                  {KU_CRL_SIGN, "cRLSign"}};
  constexpr Named kExtended[] = {{XKU_SSL_SERVER, "serverAuth"}, {XKU_SSL_CLIENT, "clientAuth"}};
  std::vector<std::string> usages;
  // Without the extension OpenSSL answers "every bit": such a certificate has no usages to show.
  const std::uint32_t flags = X509_get_extension_flags(certificate);
  for (const Named& usage : kKeyUsages) {
    if ((flags & EXFLAG_KUSAGE) != 0 && (X509_get_key_usage(certificate) & usage.bit) != 0)
      usages.emplace_back(usage.name);
  }
  for (const Named& usage : kExtended) {
    if ((flags & EXFLAG_XKUSAGE) != 0 &&
        (X509_get_extended_key_usage(certificate) & usage.bit) != 0)
      usages.emplace_back(usage.name);
  }
  return usages;
}

void SetNames(const x509::AlternativeNames& names, CertificateInfo& info) {
  if (names.uris.size() == 1) info.identity = names.uris.front();
  info.dns_names = names.dns_names;
  info.ip_addresses = names.ip_addresses;
}

CertificateInfo DescribeRequest(X509_REQ* request) {
  CertificateInfo info;
  info.is_request = true;
  SetNames(x509::NamesOf(request), info);
  unsigned char* der = nullptr;
  const int size = i2d_X509_REQ(request, &der);
  info.sha256 = x509::DerDigest(size, der).hex();
  return info;
}

CertificateInfo Describe(X509* certificate, const Clock& clock) {
  CertificateInfo info;
  SetNames(x509::NamesOf(certificate), info);
  info.subject = x509::NameText(X509_get_subject_name(certificate));
  info.issuer = x509::NameText(X509_get_issuer_name(certificate));
  info.serial_hex = x509::SerialHex(X509_get0_serialNumber(certificate));
  const WallTime not_after = x509::ToWallTime(X509_get0_notAfter(certificate));
  info.not_before = FormatUtc(x509::ToWallTime(X509_get0_notBefore(certificate)));
  info.not_after = FormatUtc(not_after);
  info.days_left = std::chrono::duration<double>(not_after - clock.Wall()).count() / kSecondsPerDay;
  info.usages = Usages(certificate);
  info.sha256 = x509::Fingerprint(certificate).hex();
  info.is_authority = X509_check_ca(certificate) == 1;
  return info;
}

}  // namespace

Result<CertificateInfo> DescribeCertificate(const std::filesystem::path& path, const Clock& clock) {
  FEDMETA_ASSIGN_OR_RETURN(const std::string pem, ReadFile(path));
  if (pem.find("CERTIFICATE REQUEST") != pem.npos) {
    FEDMETA_ASSIGN_OR_RETURN(const x509::Request request, x509::ParseRequest(pem, path));
    return DescribeRequest(request.get());
  }
  FEDMETA_ASSIGN_OR_RETURN(const auto certificates, x509::ParseCertificates(pem, path));
  return Describe(certificates.front().get(), clock);
}

Result<CertificateInfo> DescribeCertificatePem(std::string_view pem, const Clock& clock) {
  FEDMETA_ASSIGN_OR_RETURN(const auto certificates,
                           x509::ParseCertificates(pem, "what the peer presented"));
  return Describe(certificates.front().get(), clock);
}

}  // namespace fedmeta
