#include "fedmeta/coordinator/audit_fields.h"

#include "fedmeta/identity/identity_uri.h"
#include "fedmeta/privacy/secure_terms.h"
#include "fedmeta/privacy/session_evidence.h"

namespace fedmeta {
namespace {

std::string SessionText(RoundKey attempt, std::uint32_t session) {
  attempt.session = session;
  return attempt.ToString();
}

}  // namespace

std::vector<std::string> Names(const std::vector<ClientId>& clients) {
  std::vector<std::string> names;
  for (const ClientId& client : clients) names.push_back(client.value());
  return names;
}

Result<nlohmann::ordered_json> OpeningFields(const std::string& federation, const RoundPlan& plan,
                                             const RoundKey& session, std::uint32_t group,
                                             const std::string& snapshot) {
  FEDMETA_ASSIGN_OR_RETURN(
      const SessionEvidence evidence,
      EvidenceOf(federation, SecureKey(plan, session.session), group, snapshot));
  std::vector<std::string> members, receipts;
  for (const std::string& member : evidence.members) {
    FEDMETA_ASSIGN_OR_RETURN(const IdentityUri identity, IdentityUri::Parse(member));
    members.push_back(identity.name);
  }
  for (const Digest& receipt : evidence.receipts) receipts.push_back(receipt.hex());
  return nlohmann::ordered_json{{"key", session.ToString()},
                                {"attempt", plan.key().ToString()},
                                {"group", group},
                                {"session", evidence.session.hex()},
                                {"members", members},
                                {"receipts", receipts}};
}

nlohmann::ordered_json RecoveredOpeningFields(const RoundKey& attempt,
                                              const SessionRecord& session) {
  return {{"key", SessionText(attempt, session.session)},
          {"attempt", attempt.ToString()},
          {"group", session.group},
          {"members", session.members},
          {"recovered", true}};
}

nlohmann::ordered_json OpenedFields(const RoundKey& attempt, const SessionRecord& session) {
  nlohmann::ordered_json fields = {{"key", SessionText(attempt, session.session)},
                                   {"attempt", attempt.ToString()},
                                   {"opened", session.opened}};
  if (!session.reason.empty()) fields["reason"] = session.reason;
  if (!session.missing.empty()) fields["missing"] = session.missing;
  return fields;
}

nlohmann::ordered_json ChargeFields(const RoundKey& attempt, double epsilon, double delta) {
  return {{"attempt", attempt.ToString()}, {"epsilon", epsilon}, {"delta", delta}};
}

nlohmann::ordered_json OutcomeFields(const AttemptRecord& record, const Digest& plan) {
  nlohmann::ordered_json fields = {{"key", record.key.ToString()}, {"plan", plan.hex()}};
  if (!record.reason.empty()) fields["reason"] = record.reason;
  if (record.spent) fields["spent"] = true;
  fields["reported"] = Names(record.reported);
  nlohmann::ordered_json dropped = nlohmann::ordered_json::array();
  for (const DroppedClient& client : record.dropped) {
    dropped.push_back(
        {{"client", client.client}, {"phase", client.phase}, {"reason", client.reason}});
  }
  fields["dropped"] = std::move(dropped);
  if (record.committed && record.key.purpose == Purpose::kTrain)
    fields["state"] = record.state_hash.hex();
  return fields;
}

}  // namespace fedmeta
