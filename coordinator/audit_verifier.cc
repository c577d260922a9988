#include "fedmeta/coordinator/audit_verifier.h"

#include <ctime>
#include <set>
#include <utility>
#include <vector>

#include "fedmeta/coordinator/audit_file.h"
#include "fedmeta/core/clock.h"
#include "fedmeta/core/file.h"
#include "fedmeta/core/hex.h"
#include "fedmeta/identity/signature.h"
#include "fedmeta/protocol/audit_chain.h"
#include "fedmeta/v1/audit.pb.h"

namespace fedmeta {
namespace {

std::string Text(const AuditEntry& entry, const char* key) {
  const auto found = entry.fields.find(key);
  return found != entry.fields.end() && found->is_string() ? found->get<std::string>() : "";
}

WallTime TimeOf(const AuditEntry& entry) {
  std::tm parts{};
  if (::strptime(Text(entry, "time").c_str(), "%Y-%m-%dT%H:%M:%SZ", &parts) == nullptr) return {};
  return WallTime(std::chrono::seconds(::timegm(&parts)));
}

/// What no chain of hashes can see: whether the entries make sense, and who signed them.
class Verifier {
 public:
  Verifier(const std::vector<AuditEntry>& entries, const std::optional<std::string>& trust_pem,
           AuditFindings& findings)
      : entries_(entries), trust_pem_(trust_pem), findings_(findings) {}

  /// Why the entry is not sound; nothing if it is.
  std::optional<std::string> Take(const AuditEntry& entry) {
    if (entry.index == 1) {
      if (entry.kind != "chain" || Text(entry, "chain").empty()) return "does not name the chain";
      findings_.chain = Text(entry, "chain");
    } else if (entry.kind == "chain") {
      return "names the chain again";
    }
    if (entry.kind == "certificate") return TakeCertificate(entry);
    if (entry.kind == "commit") return TakeCommit(entry);
    if (entry.kind == "start" || entry.kind == "restart") TakeStart(entry);
    if (entry.kind == "head") {
      return TakeSigned(
          entry, kAuditHeadDomain, IdentityRole::kCoordinator,
          [&](const IdentityUri&, std::uint64_t index) { findings_.signed_to = index; });
    }
    if (entry.kind == "countersigned") {
      return TakeSigned(entry, kAuditCountersignatureDomain, IdentityRole::kClient,
                        [&](const IdentityUri& client, std::uint64_t index) {
                          findings_.countersigned[client.ToString()] = index;
                        });
    }
    return std::nullopt;
  }

 private:
  std::optional<std::string> TakeCertificate(const AuditEntry& entry) {
    const std::string pem = Text(entry, "pem");
    if (Digest::Of(pem).hex() != Text(entry, "fingerprint"))
      return "holds a certificate that is not the one it names";
    certificates_[Text(entry, "fingerprint")] = pem;
    return std::nullopt;
  }

  void TakeStart(const AuditEntry& entry) {
    findings_.visible = Text(entry, "updates");
    const std::uint64_t epoch = entry.fields.value("epoch", std::uint64_t{1});
    if (epoch > epoch_) ++findings_.restores;
    epoch_ = epoch;
  }

  std::optional<std::string> TakeCommit(const AuditEntry& entry) {
    ++findings_.commits;
    if (committed_.insert(Text(entry, "key")).second) return std::nullopt;
    return "commits " + Text(entry, "key") + " a second time";
  }

  template <typename Good>
  std::optional<std::string> TakeSigned(const AuditEntry& entry, std::string_view domain,
                                        IdentityRole role, Good good) {
    const std::optional<std::string> bytes = FromHex(Text(entry, "place"));
    const std::optional<std::string> signature = FromHex(Text(entry, "signature"));
    v1::AuditPlace place;
    if (!bytes || !signature || !place.ParseFromString(*bytes)) return "holds no signed place";
    if (place.chain() != findings_.chain || place.index() == 0 || place.index() >= entry.index ||
        entries_[place.index() - 1].hash.bytes() != place.hash()) {
      return "signs a place that is not of this chain: entries before it were changed after they "
             "were signed";
    }
    if (!trust_pem_) return std::nullopt;
    const auto certificate = certificates_.find(Text(entry, "certificate"));
    if (certificate == certificates_.end()) return "names a certificate that is not here";
    const Result<IdentityUri> signer = CheckStatement({.domain = domain,
                                                       .statement = *bytes,
                                                       .signature = *signature,
                                                       .certificates_pem = certificate->second},
                                                      *trust_pem_, role, TimeOf(entry));
    if (!signer.ok()) return "is not signed as it says: " + signer.error().message();
    good(*signer, place.index());
    return std::nullopt;
  }

  const std::vector<AuditEntry>& entries_;
  const std::optional<std::string>& trust_pem_;
  AuditFindings& findings_;
  std::map<std::string, std::string> certificates_;  // by fingerprint
  std::set<std::string> committed_;
  std::uint64_t epoch_ = 1;
};

}  // namespace

Result<AuditFindings> VerifyAudit(const std::filesystem::path& file,
                                  const std::optional<std::string>& trust_pem) {
  FEDMETA_ASSIGN_OR_RETURN(const std::string content, ReadFile(file));
  const AuditChain chain = ReadAuditChain(content);
  AuditFindings findings;
  findings.signatures_checked = trust_pem.has_value();
  Verifier verifier(chain.entries, trust_pem, findings);
  for (const AuditEntry& entry : chain.entries) {
    if (const auto why = verifier.Take(entry)) {
      findings.bad = "entry " + std::to_string(entry.index) + " (" + entry.kind + ") " + *why;
      return findings;
    }
    findings.entries = entry.index;
  }
  findings.bad = chain.damaged;
  return findings;
}

}  // namespace fedmeta
