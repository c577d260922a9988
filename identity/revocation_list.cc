#include "fedmeta/identity/revocation_list.h"

#include <algorithm>
#include <limits>
#include <set>

#include "fedmeta/core/file.h"
#include "fedmeta/identity/revocation.h"

namespace fedmeta {
namespace {

Error Refuse(const std::string& path, const std::string& why) {
  return {ErrorCode::kInvalidArgument, path + " " + why};
}

std::uint64_t NumberOf(X509_CRL* list) {
  const std::unique_ptr<ASN1_INTEGER, x509::Free<ASN1_INTEGER_free>> value(
      static_cast<ASN1_INTEGER*>(X509_CRL_get_ext_d2i(list, NID_crl_number, nullptr, nullptr)));
  std::uint64_t number = 0;
  // A number of more than 64 bits (RFC 5280 allows 160) counts as the greatest.
  if (value && ASN1_INTEGER_get_uint64(&number, value.get()) != 1)
    number = std::numeric_limits<std::uint64_t>::max();
  return number;
}

template <typename Visit>
void ForEachRevoked(X509_CRL* list, Visit visit) {
  const STACK_OF(X509_REVOKED)* entries = X509_CRL_get_REVOKED(list);
  for (int i = 0; i < sk_X509_REVOKED_num(entries); ++i) {
    visit(*sk_X509_REVOKED_value(entries, i));
  }
}

/// The one of `authorities` that signed, or null.
X509* SignerOf(X509_CRL* list, const std::vector<x509::Certificate>& authorities) {
  for (const x509::Certificate& authority : authorities) {
    X509* candidate = authority.get();
    if (X509_NAME_cmp(X509_get_subject_name(candidate), X509_CRL_get_issuer(list)) == 0 &&
        X509_check_ca(candidate) != 0 && (X509_get_key_usage(candidate) & KU_CRL_SIGN) != 0 &&
        X509_CRL_verify(list, X509_get0_pubkey(candidate)) == 1) {
      return candidate;
    }
  }
  x509::LastError();  // what did not verify is no error of the next call
  return nullptr;
}

}  // namespace

struct RevocationList::OneList {
  x509::Certificate issuer;
  std::string issuer_name;
  WallTime from{}, until{};
  std::uint64_t number = 0;
  std::set<std::string> serials;
};

RevocationList::RevocationList(std::string path, std::vector<OneList> lists)
    : path_(std::move(path)), lists_(std::move(lists)) {}
RevocationList::RevocationList(RevocationList&&) noexcept = default;
RevocationList& RevocationList::operator=(RevocationList&&) noexcept = default;
RevocationList::~RevocationList() = default;

Result<RevocationList> RevocationList::Parse(std::string_view pem,
                                             const std::filesystem::path& path,
                                             std::span<const std::string_view> authorities_pem) {
  std::vector<x509::Certificate> authorities;
  for (const std::string_view text : authorities_pem) {
    FEDMETA_ASSIGN_OR_RETURN(auto some, x509::ParseCertificates(text, path));
    std::move(some.begin(), some.end(), std::back_inserter(authorities));
  }
  FEDMETA_ASSIGN_OR_RETURN(const std::vector<x509::Crl> crls, x509::ParseCrls(pem, path));
  std::vector<OneList> lists;
  for (const x509::Crl& crl : crls) {
    const std::string issuer = x509::NameText(X509_CRL_get_issuer(crl.get()));
    const std::string where = path.string() + ": the list of '" + issuer + "'";
    X509* signer = SignerOf(crl.get(), authorities);
    if (signer == nullptr) {
      return Refuse(where,
                    "is not signed by an authority of identity.trust (or of the chain in "
                    "identity.certificate): take the list that the authority gave out");
    }
    if (X509_CRL_get0_nextUpdate(crl.get()) == nullptr)
      return Refuse(where, "does not say until when it may be used (nextUpdate)");
    if (X509_CRL_get_ext_by_critical(crl.get(), 1, -1) >= 0)
      return Refuse(where, "has critical extensions: a complete list is needed, not a part");
    X509_up_ref(signer);
    OneList list{.issuer = x509::Certificate(signer),
                 .issuer_name = issuer,
                 .from = x509::ToWallTime(X509_CRL_get0_lastUpdate(crl.get())),
                 .until = x509::ToWallTime(X509_CRL_get0_nextUpdate(crl.get())),
                 .number = NumberOf(crl.get()),
                 .serials = {}};
    ForEachRevoked(crl.get(), [&](const X509_REVOKED& entry) {
      list.serials.insert(x509::SerialHex(X509_REVOKED_get0_serialNumber(&entry)));
    });
    lists.push_back(std::move(list));
  }
  return RevocationList(path, std::move(lists));
}

Status RevocationList::CheckFresh(WallTime now) const {
  for (const OneList& list : lists_) {
    const auto refuse = [&](const std::string& why) {
      return Error(ErrorCode::kUnavailable,
                   path_ + ": the list of '" + list.issuer_name + "' " + why);
    };
    // Without the present time: the same trouble reads the same each time, and is logged once.
    if (now > list.until) {
      return refuse("is stale since " + FormatUtc(list.until) +
                    ": get a new one from the authority (`fedmeta pki revoke --refresh`)");
    }
    if (now < list.from) {
      return refuse("is not valid before " + FormatUtc(list.from) +
                    ", which is in the future by this machine's clock: check the clock");
    }
  }
  return {};
}

Status RevocationList::CheckCertificates(std::span<const x509::Certificate> presented) const {
  for (const x509::Certificate& certificate : presented) {
    // A root stands in the trust file or it does not: its own list says nothing.
    if ((X509_get_extension_flags(certificate.get()) & EXFLAG_SS) != 0) continue;
    const std::string serial = x509::SerialHex(X509_get0_serialNumber(certificate.get()));
    bool covered = false;
    for (const OneList& list : lists_) {
      if (X509_check_issued(list.issuer.get(), certificate.get()) != X509_V_OK) continue;
      covered = true;
      if (list.serials.contains(serial)) {
        return Error(ErrorCode::kPermissionDenied,
                     "the certificate with serial " + serial + " is revoked");
      }
    }
    if (!covered) {
      return Error(ErrorCode::kUnavailable,
                   path_ + " has no list of '" +
                       x509::NameText(X509_get_issuer_name(certificate.get())) +
                       "', which issued the certificate with serial " + serial +
                       ": append that authority's list");
    }
  }
  return {};
}

Status RevocationList::CheckNotOlderThan(const RevocationList& before) const {
  for (const OneList& list : lists_) {
    for (const OneList& old : before.lists_) {
      if (X509_cmp(list.issuer.get(), old.issuer.get()) == 0 && list.number < old.number) {
        return Refuse(path_, "holds list " + std::to_string(list.number) + " of '" +
                                 list.issuer_name + "', which is older than list " +
                                 std::to_string(old.number) + " that was there before");
      }
    }
  }
  return {};
}

const RevocationList::OneList& RevocationList::FirstToEnd() const {
  return *std::min_element(
      lists_.begin(), lists_.end(),
      [](const OneList& one, const OneList& other) { return one.until < other.until; });
}

WallTime RevocationList::valid_from() const { return FirstToEnd().from; }
WallTime RevocationList::valid_until() const { return FirstToEnd().until; }

std::size_t RevocationList::revoked() const {
  std::size_t count = 0;
  for (const OneList& list : lists_) count += list.serials.size();
  return count;
}

Result<std::vector<RevocationListInfo>> DescribeRevocationLists(const std::filesystem::path& path) {
  FEDMETA_ASSIGN_OR_RETURN(const std::string pem, ReadFile(path));
  FEDMETA_ASSIGN_OR_RETURN(const std::vector<x509::Crl> crls, x509::ParseCrls(pem, path));
  std::vector<RevocationListInfo> infos;
  for (const x509::Crl& crl : crls) {
    RevocationListInfo info{
        .issuer = x509::NameText(X509_CRL_get_issuer(crl.get())),
        .number = NumberOf(crl.get()),
        .this_update = FormatUtc(x509::ToWallTime(X509_CRL_get0_lastUpdate(crl.get()))),
        .next_update = FormatUtc(x509::ToWallTime(X509_CRL_get0_nextUpdate(crl.get()))),
        .revoked = {}};
    ForEachRevoked(crl.get(), [&](const X509_REVOKED& entry) {
      info.revoked.emplace_back(
          x509::SerialHex(X509_REVOKED_get0_serialNumber(&entry)),
          FormatUtc(x509::ToWallTime(X509_REVOKED_get0_revocationDate(&entry))));
    });
    infos.push_back(std::move(info));
  }
  return infos;
}

bool HoldsRevocationLists(const std::filesystem::path& path) {
  const auto text = ReadFile(path);
  return text.ok() && text.value().find("-----BEGIN X509 CRL-----") != std::string::npos;
}

}  // namespace fedmeta
