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

double Number(const AuditEntry& entry, const char* key) {
  const auto found = entry.fields.find(key);
  return found != entry.fields.end() && found->is_number() ? found->get<double>() : -1;
}

std::vector<std::string> List(const AuditEntry& entry, const char* key) {
  std::vector<std::string> texts;
  const auto found = entry.fields.find(key);
  if (found == entry.fields.end() || !found->is_array()) return texts;
  for (const nlohmann::json& text : *found) {
    if (text.is_string()) texts.push_back(text.get<std::string>());
  }
  return texts;
}

/// Of RoundKey::ToString.
bool Trains(const std::string& attempt) { return attempt.find(" train ") != std::string::npos; }

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
    if (entry.fields.value("recovered", false)) ++findings_.recovered;
    if (entry.kind == "charge_told") ++findings_.told;
    if (entry.kind == "charge") return TakeCharge(entry);
    if (entry.kind == "opening") return TakeOpening(entry);
    if (entry.kind == "opened") return TakeOpened(entry);
    if (entry.kind == "commit") return TakeCommit(entry);
    if (entry.kind == "evaluation") return NeedsOpenings(entry);
    if (entry.kind == "turned_away" && entry.fields.value("times", 0U) == 1)
      ++findings_.turned_away;
    if (entry.kind == "end") TakeEnd(entry);
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
                          if (end_ > 0 && index >= end_)
                            std::erase(findings_.end_unseen_by, client.name);
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
    // Records of older programs do not say so, and had no such entries.
    findings_.checks_openings = entry.fields.contains("secure");
    secure_ = entry.fields.value("secure", false);
    charges_ = entry.fields.value("charges", false);
    end_ = 0;
    findings_.end_unseen_by.clear();
  }

  void TakeEnd(const AuditEntry& entry) {
    end_ = entry.index;
    findings_.end_unseen_by = List(entry, "present");
  }

  std::optional<std::string> TakeCharge(const AuditEntry& entry) {
    const std::string attempt = Text(entry, "attempt");
    const double epsilon = Number(entry, "epsilon");
    if (!charged_.insert(attempt).second) return "charges " + attempt + " a second time";
    double& spent = spent_[attempt.substr(0, attempt.rfind('/'))];
    if (!(epsilon >= spent)) return "says that less is spent than was before";
    findings_.epsilon = spent = epsilon;
    ++findings_.charges;
    return std::nullopt;
  }

  std::optional<std::string> TakeOpening(const AuditEntry& entry) {
    const std::string attempt = Text(entry, "attempt");
    const std::vector<std::string> members = List(entry, "members");
    if (!sessions_.try_emplace(Text(entry, "key"), members).second)
      return "opens " + Text(entry, "key") + " a second time";
    if (charges_ && Trains(attempt) && !charged_.contains(attempt))
      return "opens " + Text(entry, "key") + " without its charge";
    if (!entry.fields.value("recovered", false) &&
        (Text(entry, "session").empty() || List(entry, "receipts").size() != members.size()))
      return "opens " + Text(entry, "key") + " without a receipt of every member";
    std::set<std::string>& asked = asked_[attempt];
    for (const std::string& member : members) {
      if (!asked.insert(member).second) return "asks " + member + " to open two sums of " + attempt;
    }
    ++findings_.openings;
    return std::nullopt;
  }

  std::optional<std::string> TakeOpened(const AuditEntry& entry) {
    const auto session = sessions_.find(Text(entry, "key"));
    if (session == sessions_.end())
      return "tells what came of " + Text(entry, "key") + ", which nobody was asked to open";
    if (!entry.fields.value("opened", false)) return std::nullopt;
    summed_[Text(entry, "attempt")].insert(session->second.begin(), session->second.end());
    return std::nullopt;
  }

  /// Under secure aggregation what an attempt counts was opened by the members' leave.
  std::optional<std::string> NeedsOpenings(const AuditEntry& entry) const {
    if (!secure_) return std::nullopt;
    const std::string attempt = Text(entry, "key");
    const auto summed = summed_.find(attempt);
    if (summed == summed_.end()) return "counts " + attempt + ", of which no sum was opened";
    for (const std::string& client : List(entry, "reported")) {
      if (!summed->second.contains(client))
        return "counts " + client + ", which was in no opened sum of " + attempt;
    }
    return std::nullopt;
  }

  std::optional<std::string> TakeCommit(const AuditEntry& entry) {
    ++findings_.commits;
    const std::string attempt = Text(entry, "key");
    if (!committed_.insert(attempt).second) return "commits " + attempt + " a second time";
    if (charges_ && !charged_.contains(attempt))
      return "commits " + attempt + " without its charge";
    return NeedsOpenings(entry);
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
  std::map<std::string, std::string> certificates_;              // by fingerprint
  std::set<std::string> committed_, charged_;                    // attempts
  std::map<std::string, double> spent_;                          // epsilon, by experiment
  std::map<std::string, std::vector<std::string>> sessions_;     // members, by key
  std::map<std::string, std::set<std::string>> asked_, summed_;  // clients, by attempt
  bool secure_ = false, charges_ = false;                        // by the last start
  std::uint64_t end_ = 0;                                        // its entry, after the last start
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
