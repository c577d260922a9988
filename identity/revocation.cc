#include "fedmeta/identity/revocation.h"

#include <algorithm>
#include <ctime>
#include <set>
#include <sstream>

#include <openssl/bn.h>
#include <openssl/pem.h>

#include "fedmeta/core/file.h"
#include "fedmeta/identity/authority_files.h"
#include "fedmeta/identity/x509.h"

namespace fedmeta {
namespace {

constexpr std::chrono::days kLongestValidity{366};
// As for certificates: machines' clocks differ.
constexpr std::chrono::minutes kBackdated{5};

/// A line of issued.txt or revoked.txt.
struct Line {
  std::string serial, date, identity;
};

Result<std::vector<Line>> ReadLines(const std::filesystem::path& path) {
  std::vector<Line> lines;
  if (!std::filesystem::exists(path)) return lines;
  FEDMETA_ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  std::istringstream in(text);
  for (Line line; in >> line.serial >> line.date >> line.identity;) lines.push_back(line);
  return lines;
}

std::string Upper(std::string text) {
  for (char& c : text) c = c >= 'a' && c <= 'f' ? static_cast<char>(c - 'a' + 'A') : c;
  return text;
}

Result<std::vector<Line>> Find(const std::vector<Line>& issued, const RevokeOptions& options) {
  std::vector<Line> found;
  const std::string serial = Upper(options.serial_hex.value_or(""));
  for (const Line& line : issued) {
    if (line.identity == options.identity || line.serial == serial) found.push_back(line);
  }
  if (found.empty() && (options.identity || options.serial_hex)) {
    return Error(ErrorCode::kNotFound,
                 "issued.txt of " + options.authority_dir.string() + " has no certificate " +
                     (options.identity ? "of " + *options.identity : "with serial " + serial) +
                     "; nothing was revoked");
  }
  return found;
}

WallTime ParseUtc(const std::string& text) {
  std::tm parts{};
  if (::strptime(text.c_str(), "%Y-%m-%dT%H:%M:%SZ", &parts) == nullptr) return {};
  return WallTime(std::chrono::seconds(::timegm(&parts)));
}

using Asn1Time = std::unique_ptr<ASN1_TIME, x509::Free<ASN1_TIME_free>>;
Asn1Time ToAsn1(WallTime time) {
  return Asn1Time(ASN1_TIME_set(nullptr, std::chrono::system_clock::to_time_t(time)));
}

bool AddRevoked(X509_CRL* list, const Line& line) {
  BIGNUM* number = nullptr;
  if (BN_hex2bn(&number, line.serial.c_str()) == 0) return false;
  const std::unique_ptr<ASN1_INTEGER, x509::Free<ASN1_INTEGER_free>> serial(
      BN_to_ASN1_INTEGER(number, nullptr));
  BN_free(number);
  const Asn1Time when = ToAsn1(ParseUtc(line.date));
  X509_REVOKED* entry = X509_REVOKED_new();
  const bool added = entry != nullptr && serial && when &&
                     X509_REVOKED_set_serialNumber(entry, serial.get()) == 1 &&
                     X509_REVOKED_set_revocationDate(entry, when.get()) == 1 &&
                     X509_CRL_add0_revoked(list, entry) == 1;
  if (!added) X509_REVOKED_free(entry);
  return added;
}

bool AddNumber(X509_CRL* list, std::uint64_t number) {
  const std::unique_ptr<ASN1_INTEGER, x509::Free<ASN1_INTEGER_free>> value(ASN1_INTEGER_new());
  return value && ASN1_INTEGER_set_uint64(value.get(), number) == 1 &&
         X509_CRL_add1_ext_i2d(list, NID_crl_number, value.get(), 0, X509V3_ADD_DEFAULT) == 1;
}

bool AddAuthorityKey(X509_CRL* list, X509* issuer) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, nullptr, nullptr, list, 0);
  const std::unique_ptr<X509_EXTENSION, x509::Free<X509_EXTENSION_free>> extension(
      X509V3_EXT_conf_nid(nullptr, &context, NID_authority_key_identifier, "keyid:always"));
  return extension && X509_CRL_add_ext(list, extension.get(), -1) == 1;
}

Result<std::string> SignList(const Authority& authority, const std::vector<Line>& revoked,
                             std::uint64_t number, WallTime now, WallTime until) {
  const x509::Crl list(X509_CRL_new());
  X509_CRL* crl = list.get();
  const Asn1Time from = ToAsn1(now - kBackdated), to = ToAsn1(until);
  const bool built =
      crl != nullptr && from && to && X509_CRL_set_version(crl, X509_CRL_VERSION_2) == 1 &&
      X509_CRL_set_issuer_name(crl, X509_get_subject_name(authority.certificate.get())) == 1 &&
      X509_CRL_set1_lastUpdate(crl, from.get()) == 1 &&
      X509_CRL_set1_nextUpdate(crl, to.get()) == 1 &&
      std::all_of(revoked.begin(), revoked.end(),
                  [&](const Line& line) { return AddRevoked(crl, line); }) &&
      X509_CRL_sort(crl) == 1 && AddAuthorityKey(crl, authority.certificate.get()) &&
      AddNumber(crl, number) && X509_CRL_sign(crl, authority.key.get(), EVP_sha256()) > 0;
  if (!built) return OpenSslFailed("sign a revocation list");
  const x509::Buffer buffer(BIO_new(BIO_s_mem()));
  if (PEM_write_bio_X509_CRL(buffer.get(), crl) != 1)
    return OpenSslFailed("write a revocation list");
  return std::string(x509::Content(buffer));
}

/// One above that of the list before.
Result<std::uint64_t> NextNumber(const std::filesystem::path& list) {
  if (!std::filesystem::exists(list)) return std::uint64_t{1};
  FEDMETA_ASSIGN_OR_RETURN(const auto before, DescribeRevocationLists(list));
  return before.front().number + 1;
}

}  // namespace

Result<RevokeOutcome> Revoke(const RevokeOptions& options, const Clock& clock) {
  if (options.validity.count() < 1 || options.validity > kLongestValidity) {
    return Error(ErrorCode::kInvalidArgument, "a list must be valid for 1 s to 366 days, got " +
                                                  std::to_string(options.validity.count()) + " s");
  }
  FEDMETA_ASSIGN_OR_RETURN(const Authority authority, LoadAuthority(options.authority_dir));
  FEDMETA_ASSIGN_OR_RETURN(const auto issued, ReadLines(options.authority_dir / "issued.txt"));
  FEDMETA_ASSIGN_OR_RETURN(auto revoked, ReadLines(options.authority_dir / "revoked.txt"));
  FEDMETA_ASSIGN_OR_RETURN(std::vector<Line> found, Find(issued, options));
  std::set<std::string> already;
  for (const Line& line : revoked) already.insert(line.serial);

  RevokeOutcome outcome;
  outcome.list = options.authority_dir / "denylist.pem";
  const WallTime now = clock.Wall();
  outcome.valid_until = now + options.validity;
  std::string record;
  for (Line& line : found) {
    if (!already.insert(line.serial).second) continue;
    line.date = FormatUtc(now);
    record += line.serial + " " + line.date + " " + line.identity + "\n";
    outcome.serials.push_back(line.serial);
    revoked.push_back(line);
  }
  // The record first: what it says, the next list says too, even if this one is not written.
  if (!record.empty())
    FEDMETA_RETURN_IF_ERROR(AppendFile(options.authority_dir / "revoked.txt", record));
  outcome.revoked = revoked.size();
  FEDMETA_ASSIGN_OR_RETURN(const std::uint64_t number, NextNumber(outcome.list));
  FEDMETA_ASSIGN_OR_RETURN(const std::string pem,
                           SignList(authority, revoked, number, now, outcome.valid_until));
  FEDMETA_RETURN_IF_ERROR(WriteFileAtomically(outcome.list, pem));
  return outcome;
}

}  // namespace fedmeta
