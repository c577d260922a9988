#include "fedmeta/coordinator/audit_log.h"

#include <algorithm>
#include <random>

#include "fedmeta/coordinator/audit_fields.h"
#include "fedmeta/coordinator/audit_file.h"
#include "fedmeta/coordinator/store_checks.h"
#include "fedmeta/core/durable_append.h"
#include "fedmeta/core/file.h"
#include "fedmeta/core/hex.h"
#include "fedmeta/identity/signature.h"
#include "fedmeta/protocol/audit_chain.h"
#include "fedmeta/protocol/version.h"

namespace fedmeta {
namespace {

std::string Dump(const nlohmann::ordered_json& fields) {
  return fields.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::string RandomName() {
  std::random_device device;
  std::string bytes;
  for (int i = 0; i < 16; ++i) bytes += static_cast<char>(device() & 0xffU);
  return ToHex(bytes);
}

}  // namespace

Result<std::unique_ptr<AuditLog>> AuditLog::Open(Options options, const IdentitySource& identity,
                                                 const Clock& clock) {
  std::unique_ptr<AuditLog> log(new AuditLog(std::move(options), identity, clock));
  FEDMETA_RETURN_IF_ERROR(log->Load());
  return log;
}

Status AuditLog::Load() {
  if (!std::filesystem::exists(options_.file)) {
    chain_ = RandomName();
    return Append("chain", Dump({{"chain", chain_}}), true);
  }
  FEDMETA_ASSIGN_OR_RETURN(const std::string content, ReadFile(options_.file));
  const AuditChain chain = ReadAuditChain(content);
  if (chain.damaged && !chain.torn) {
    return Error(ErrorCode::kDataLoss,
                 options_.file.string() + ": " + *chain.damaged +
                     ": restore it from a backup; `fedmeta audit verify` says more");
  }
  if (chain.torn) {
    FEDMETA_RETURN_IF_ERROR(
        WriteFileAtomically(options_.file, std::string_view(content).substr(0, chain.bytes), 0600));
  }
  for (const AuditEntry& entry : chain.entries) {
    texts_.push_back(entry.text);
    hashes_.push_back(entry.hash);
    if (entry.kind == "chain") chain_ = entry.fields.value("chain", "");
    if (entry.kind == "certificate") certificates_.insert(entry.fields.value("fingerprint", ""));
    const auto note = [&](const char* kind, const char* field, std::set<std::string>& keys) {
      if (entry.kind == kind) keys.insert(entry.fields.value(field, ""));
    };
    if (entry.kind == "start" || entry.kind == "restart")
      epoch_here_ = entry.fields.value("epoch", std::uint64_t{1});
    if (entry.kind == "charge") accounted_.emplace(epoch_here_, entry.fields.value("attempt", ""));
    if (entry.kind == "charge_told") {
      accounted_.emplace(entry.fields.value("epoch", std::uint64_t{1}),
                         entry.fields.value("attempt", ""));
      ++told_[entry.fields.value("experiment", "")];
    }
    note("commit", "key", committed_);
    note("charge", "attempt", charged_);
    note("opening", "key", openings_);
    note("opened", "key", opened_);
  }
  if (chain_.empty()) {
    return Error(ErrorCode::kDataLoss,
                 options_.file.string() +
                     ": does not begin with the chain's name: restore it from "
                     "a backup");
  }
  return {};
}

Status AuditLog::Append(const std::string& kind, const std::string& fields_json, bool durable) {
  nlohmann::ordered_json fields = {{"time", FormatUtc(clock_.Wall())}};
  fields.update(nlohmann::ordered_json::parse(fields_json));
  const Digest previous = hashes_.empty() ? Digest() : hashes_.back();
  const NewAuditEntry made = MakeAuditEntry(hashes_.size() + 1, previous, kind, std::move(fields));
  FEDMETA_RETURN_IF_ERROR(durable ? AppendDurably(options_.file, made.line + "\n")
                                  : AppendFile(options_.file, made.line + "\n"));
  texts_.push_back(made.entry.text);
  hashes_.push_back(made.entry.hash);
  return {};
}

Status AuditLog::EnsureCertificate(const std::string& pem, std::string& fingerprint) {
  fingerprint = Digest::Of(pem).hex();
  if (certificates_.contains(fingerprint)) return {};
  FEDMETA_RETURN_IF_ERROR(
      Append("certificate", Dump({{"fingerprint", fingerprint}, {"pem", pem}}), false));
  certificates_.insert(fingerprint);
  return {};
}

v1::AuditPlace AuditLog::PlaceAt(std::uint64_t index) const {
  v1::AuditPlace place;
  place.set_chain(chain_);
  place.set_index(index);
  place.set_hash(hashes_[index - 1].bytes());
  place.set_epoch(options_.epoch);
  return place;
}

bool AuditLog::IsOnChain(const v1::AuditPlace& place) const {
  return place.chain() == chain_ && place.index() > 0 && place.index() <= hashes_.size() &&
         place.hash() == hashes_[place.index() - 1].bytes();
}

Status AuditLog::SignHead() {
  const auto credentials = identity_.credentials();
  std::string fingerprint;
  FEDMETA_RETURN_IF_ERROR(EnsureCertificate(credentials->certificate_pem, fingerprint));
  Head head{.place = PlaceAt(hashes_.size()).SerializeAsString(),
            .signature = {},
            .certificates_pem = credentials->certificate_pem,
            .index = hashes_.size()};
  FEDMETA_ASSIGN_OR_RETURN(head.signature,
                           SignStatement(*credentials, kAuditHeadDomain, head.place));
  FEDMETA_RETURN_IF_ERROR(Append("head",
                                 Dump({{"index", head.index},
                                       {"place", ToHex(head.place)},
                                       {"signature", ToHex(head.signature)},
                                       {"certificate", fingerprint}}),
                                 true));
  head_ = std::move(head);
  return {};
}

Status AuditLog::Started(const Run& run, bool resumed) {
  const std::lock_guard lock(mutex_);
  FEDMETA_RETURN_IF_ERROR(
      Append(resumed ? "restart" : "start",
             Dump({{"experiment", run.experiment},
                   {"offer", run.offer.hex()},
                   {"updates", run.visible},
                   {"secure", run.secure},
                   {"charges", run.charges},
                   {"coordinator", identity_.credentials()->identity.ToString()},
                   {"program", kProgramVersion},
                   {"epoch", options_.epoch}}),
             true));
  epoch_here_ = options_.epoch;
  return SignHead();
}

Status AuditLog::AppendCharge(const RoundKey& attempt, double epsilon, double delta,
                              bool recovered) {
  // The sums of an attempt's groups cost what one does. Something durable follows in each case.
  if (charged_.contains(attempt.ToString())) return {};
  nlohmann::ordered_json fields = ChargeFields(attempt, epsilon, delta);
  if (recovered) fields["recovered"] = true;
  FEDMETA_RETURN_IF_ERROR(Append("charge", Dump(fields), false));
  charged_.insert(attempt.ToString());
  accounted_.emplace(epoch_here_, attempt.ToString());
  return {};
}

Status AuditLog::AppendOpenings(const AttemptRecord& record) {
  for (const SessionRecord& session : record.sessions) {
    const std::string key = OpenedFields(record.key, session)["key"];
    if (!openings_.contains(key)) {
      if (!session.opened) continue;  // it ended before anybody was asked
      FEDMETA_RETURN_IF_ERROR(
          Append("opening", Dump(RecoveredOpeningFields(record.key, session)), false));
      openings_.insert(key);
    }
    if (!opened_.insert(key).second) continue;
    FEDMETA_RETURN_IF_ERROR(Append("opened", Dump(OpenedFields(record.key, session)), false));
  }
  return {};
}

Status AuditLog::Reconcile(const OpenedRun& run, const std::vector<PrivacyCharge>& charges) {
  const std::lock_guard lock(mutex_);
  for (const PrivacyCharge& charge : charges) {
    if (charge.delta > 0) {
      FEDMETA_RETURN_IF_ERROR(
          AppendCharge(AttemptOf(charge.session), charge.epsilon, charge.delta, true));
    }
  }
  if (run.interrupted) {
    for (const ChargedAttempt::Group& group : run.interrupted->groups) {
      SessionCharge charge{
          .key = run.interrupted->plan.key(), .group = group.group, .snapshot = group.snapshot};
      charge.key.session = group.session;
      FEDMETA_RETURN_IF_ERROR(AppendOpening(run.interrupted->plan, charge));
    }
  }
  return run.history.ForEach([this](const AttemptRecord& record) -> Status {
    const std::string key = record.key.ToString();
    if (!record.committed || record.key.purpose != Purpose::kTrain || committed_.contains(key))
      return {};
    FEDMETA_RETURN_IF_ERROR(AppendOpenings(record));
    FEDMETA_RETURN_IF_ERROR(Append("commit",
                                   Dump({{"key", key},
                                         {"reported", Names(record.reported)},
                                         {"state", record.state_hash.hex()},
                                         {"recovered", true}}),
                                   false));
    committed_.insert(key);
    return {};
  });
}

Status AuditLog::AttemptBegan(const RoundPlan& plan, std::uint32_t cohort) {
  const std::lock_guard lock(mutex_);
  return Append("attempt",
                Dump({{"key", plan.key().ToString()},
                      {"plan", plan.hash().hex()},
                      {"assignment", plan.assignment_hash().hex()},
                      {"state", plan.state_hash().hex()},
                      {"cohort", cohort}}),
                false);
}

Status AuditLog::AppendOpening(const RoundPlan& plan, const SessionCharge& charge) {
  const std::string key = charge.key.ToString();
  if (openings_.contains(key)) return {};
  FEDMETA_ASSIGN_OR_RETURN(const nlohmann::ordered_json fields,
                           OpeningFields(identity_.credentials()->identity.federation, plan,
                                         charge.key, charge.group, charge.snapshot));
  FEDMETA_RETURN_IF_ERROR(Append("opening", Dump(fields), true));
  openings_.insert(key);
  return {};
}

Status AuditLog::Opening(const RoundPlan& plan, const SessionCharge& charge,
                         const std::optional<PrivacyCost>& cost) {
  const std::lock_guard lock(mutex_);
  if (cost) FEDMETA_RETURN_IF_ERROR(AppendCharge(plan.key(), cost->epsilon, cost->delta, false));
  return AppendOpening(plan, charge);
}

Status AuditLog::AttemptEnded(const AttemptRecord& record, const Digest& plan_hash,
                              const std::optional<PrivacyCost>& cost) {
  const std::lock_guard lock(mutex_);
  if (cost) FEDMETA_RETURN_IF_ERROR(AppendCharge(record.key, cost->epsilon, cost->delta, false));
  FEDMETA_RETURN_IF_ERROR(AppendOpenings(record));
  const bool trained = record.committed && record.key.purpose == Purpose::kTrain;
  const char* kind = trained ? "commit" : record.committed ? "evaluation" : "abandoned";
  FEDMETA_RETURN_IF_ERROR(Append(kind, Dump(OutcomeFields(record, plan_hash)), false));
  if (trained) committed_.insert(record.key.ToString());
  return SignHead();
}

Status AuditLog::Stood(const ClientId& client, const std::string& rule) {
  const std::lock_guard lock(mutex_);
  return Append(rule.empty() ? "takes_part" : "declined",
                Dump({{"client", client.value()}, {"rule", rule}}), false);
}

Result<std::uint64_t> AuditLog::Told(const ClientId& client,
                                     const std::vector<ToldCharge>& charges) {
  const std::lock_guard lock(mutex_);
  std::uint64_t further = 0;
  for (const auto& [epoch, attempt] : charges) {
    const std::string key = attempt.ToString();
    if (epoch >= options_.epoch || accounted_.contains({epoch, key})) continue;
    const std::string experiment = attempt.experiment.value();
    const std::string name = experiment.substr(0, experiment.rfind('/'));
    FEDMETA_RETURN_IF_ERROR(Append(
        "charge_told",
        Dump(
            {{"client", client.value()}, {"experiment", name}, {"attempt", key}, {"epoch", epoch}}),
        true));
    accounted_.emplace(epoch, key);
    ++told_[name];
    ++further;
  }
  return further;
}

std::uint64_t AuditLog::ToldReleases(const std::string& experiment) {
  const std::lock_guard lock(mutex_);
  const auto told = told_.find(experiment);
  return told == told_.end() ? 0 : told->second;
}

Status AuditLog::TurnedAway(const std::string& who_and_why) {
  const std::lock_guard lock(mutex_);
  const bool known = turned_away_.contains(who_and_why);
  const std::string what =
      known || turned_away_.size() < kMaximumTurnedAway ? who_and_why : "others";
  const std::uint64_t count = ++turned_away_[what];
  std::uint64_t power = 1;
  while (power < count) power *= 10;
  if (power != count) return {};
  return Append("turned_away", Dump({{"what", what}, {"times", count}}), false);
}

Status AuditLog::Ended(const std::string& status, const std::vector<ClientId>& present) {
  const std::lock_guard lock(mutex_);
  for (const auto& [what, count] : turned_away_) {
    if (count > 1) {
      FEDMETA_RETURN_IF_ERROR(
          Append("turned_away", Dump({{"what", what}, {"times", count}}), false));
    }
  }
  FEDMETA_RETURN_IF_ERROR(
      Append("end", Dump({{"status", status}, {"present", Names(present)}}), false));
  return SignHead();
}

std::vector<ClientId> AuditLog::Uncountersigned(const std::vector<ClientId>& clients) {
  const std::lock_guard lock(mutex_);
  std::vector<ClientId> missing;
  for (const ClientId& client : clients) {
    const auto signed_to = countersigned_.find(client);
    if (signed_to == countersigned_.end() || signed_to->second < head_.index)
      missing.push_back(client);
  }
  return missing;
}

void AuditLog::Seen(const ClientId& client, const std::string& place) {
  v1::AuditPlace seen;
  if (!seen.ParseFromString(place)) seen.Clear();
  const std::lock_guard lock(mutex_);
  seen_[client] = std::move(seen);
}

std::string AuditLog::HeadFor(const ClientId& client) {
  const std::lock_guard lock(mutex_);
  const v1::AuditPlace& seen = seen_[client];
  const bool ours = IsOnChain(seen);
  if (head_.index == 0 || (ours && seen.index() >= head_.index)) return {};
  v1::AuditHead head;
  head.set_certificates_pem(head_.certificates_pem);
  if (ours && head_.index - seen.index() > kMaximumAuditStep) {
    // One step of the way; the client asks again.
    const auto credentials = identity_.credentials();
    head.set_place(PlaceAt(seen.index() + kMaximumAuditStep).SerializeAsString());
    Result<std::string> signature = SignStatement(*credentials, kAuditHeadDomain, head.place());
    if (!signature.ok()) return {};
    head.set_signature(*std::move(signature));
    head.set_certificates_pem(credentials->certificate_pem);
  } else {
    head.set_place(head_.place);
    head.set_signature(head_.signature);
  }
  if (ours) {
    head.set_since(seen.index());
    const std::uint64_t end = std::min(head_.index, seen.index() + kMaximumAuditStep);
    for (std::uint64_t i = seen.index(); i < end; ++i) *head.mutable_digests() += texts_[i].bytes();
  }
  return head.SerializeAsString();
}

Status AuditLog::Countersigned(const ClientId& client, const std::string& countersignature) {
  v1::AuditCountersignature signed_by;
  v1::AuditPlace place;
  if (!signed_by.ParseFromString(countersignature) || !place.ParseFromString(signed_by.place()))
    return Error(ErrorCode::kInvalidArgument, "audit: not a countersignature");
  FEDMETA_ASSIGN_OR_RETURN(
      const IdentityUri signer,
      CheckStatement({.domain = kAuditCountersignatureDomain,
                      .statement = signed_by.place(),
                      .signature = signed_by.signature(),
                      .certificates_pem = signed_by.certificates_pem()},
                     identity_.credentials()->trust_pem, IdentityRole::kClient, clock_.Wall()));
  if (signer.name != client.value())
    return Error(ErrorCode::kPermissionDenied, "audit: countersigned by " + signer.ToString());
  const std::lock_guard lock(mutex_);
  if (!IsOnChain(place)) {
    return Error(ErrorCode::kInvalidArgument,
                 "audit: the countersigned place is not of this chain");
  }
  // What a client says of itself at first may be a place of a chain that was restored since.
  const v1::AuditPlace& seen = seen_[client];
  if (IsOnChain(seen) && seen.index() >= place.index()) return {};
  std::string fingerprint;
  FEDMETA_RETURN_IF_ERROR(EnsureCertificate(signed_by.certificates_pem(), fingerprint));
  FEDMETA_RETURN_IF_ERROR(Append("countersigned",
                                 Dump({{"client", signer.ToString()},
                                       {"index", place.index()},
                                       {"place", ToHex(signed_by.place())},
                                       {"signature", ToHex(signed_by.signature())},
                                       {"certificate", fingerprint}}),
                                 false));
  countersigned_[client] = place.index();
  seen_[client] = std::move(place);
  return {};
}

}  // namespace fedmeta
