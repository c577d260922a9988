#include "fedmeta/coordinator/attempt_record.h"

#include <algorithm>
#include <array>
#include <utility>

#include "fedmeta/v1/store.pb.h"

namespace fedmeta {
namespace {

void Put(const std::vector<MetricSums>& metrics,
         google::protobuf::RepeatedPtrField<v1::CellRecord>& cells) {
  for (const MetricSums& sums : metrics) {
    const auto values = sums.ToArray();
    cells.Add()->mutable_sums()->Add(values.begin(), values.end());
  }
}

std::optional<std::vector<MetricSums>> Take(
    const google::protobuf::RepeatedPtrField<v1::CellRecord>& cells) {
  std::vector<MetricSums> metrics;
  for (const v1::CellRecord& cell : cells) {
    // Figures that an older program did not know stay 0.
    if (cell.sums_size() > static_cast<int>(MetricSums::kSize)) return std::nullopt;
    std::array<double, MetricSums::kSize> values{};
    std::copy(cell.sums().begin(), cell.sums().end(), values.begin());
    metrics.push_back(MetricSums::FromArray(values));
  }
  return metrics;
}

Error NotOurs(const RoundKey& key) {
  return {ErrorCode::kDataLoss, "store: the journal's entry of " + key.ToString() +
                                    " is damaged or of another program: restore a backup"};
}

}  // namespace

std::string SerializeRecord(const AttemptRecord& record) {
  v1::AttemptRecord message;
  message.set_committed(record.committed);
  message.set_reason(record.reason);
  message.set_cut_off(record.cut_off);
  for (const ClientId& client : record.cohort) message.add_cohort(client.value());
  for (const ClientId& client : record.reported) message.add_reported(client.value());
  for (const DroppedClient& dropped : record.dropped) {
    v1::DroppedRecord& one = *message.add_dropped();
    one.set_client(dropped.client);
    one.set_phase(dropped.phase);
    one.set_reason(dropped.reason);
  }
  message.set_on_training_sites(record.on_training_sites);
  Put(record.result.metrics, *message.mutable_metrics());
  for (const auto& [client, metrics] : record.result.disclosed) {
    v1::DisclosedRecord& one = *message.add_disclosed();
    one.set_client(client.value());
    Put(metrics, *one.mutable_metrics());
  }
  message.set_bytes_down(record.bytes_down);
  message.set_bytes_up(record.bytes_up);
  message.set_wall_s(record.wall_s);
  for (const auto& [part, seconds] : record.parts_s) (*message.mutable_parts_s())[part] = seconds;
  for (const SessionRecord& session : record.sessions) {
    v1::SessionRecord& one = *message.add_sessions();
    one.set_session(session.session);
    one.set_group(session.group);
    one.mutable_members()->Assign(session.members.begin(), session.members.end());
    one.set_opened(session.opened);
    one.set_phase(session.phase);
    one.set_reason(session.reason);
    one.mutable_missing()->Assign(session.missing.begin(), session.missing.end());
  }
  message.set_spent(record.spent);
  message.set_state_hash(record.state_hash.bytes());
  if (record.sent_hash) message.set_sent_hash(record.sent_hash->bytes());
  if (record.epsilon) message.set_epsilon(*record.epsilon);
  return message.SerializeAsString();
}

Result<AttemptRecord> ParseRecord(const JournalEntry& entry) {
  v1::AttemptRecord message;
  if (!message.ParseFromString(entry.outcome)) return NotOurs(entry.key);
  AttemptRecord record{.key = entry.key,
                       .committed = message.committed(),
                       .reason = message.reason(),
                       .cut_off = message.cut_off(),
                       .cohort = {},
                       .reported = {},
                       .dropped = {},
                       .on_training_sites = message.on_training_sites(),
                       .result = {},
                       .bytes_down = message.bytes_down(),
                       .bytes_up = message.bytes_up(),
                       .wall_s = message.wall_s(),
                       .parts_s = {message.parts_s().begin(), message.parts_s().end()},
                       .state_hash = {}};
  for (const std::string& client : message.cohort()) record.cohort.emplace_back(client);
  for (const std::string& client : message.reported()) record.reported.emplace_back(client);
  for (const v1::DroppedRecord& one : message.dropped()) {
    record.dropped.push_back({one.client(), one.phase(), one.reason()});
  }
  std::optional<std::vector<MetricSums>> metrics = Take(message.metrics());
  if (!metrics) return NotOurs(entry.key);
  record.result.metrics = *std::move(metrics);
  for (const v1::DisclosedRecord& one : message.disclosed()) {
    metrics = Take(one.metrics());
    if (!metrics) return NotOurs(entry.key);
    record.result.disclosed.emplace_back(ClientId(one.client()), *std::move(metrics));
  }
  for (const v1::SessionRecord& one : message.sessions()) {
    record.sessions.push_back({.session = one.session(),
                               .group = one.group(),
                               .members = {one.members().begin(), one.members().end()},
                               .opened = one.opened(),
                               .phase = one.phase(),
                               .reason = one.reason(),
                               .missing = {one.missing().begin(), one.missing().end()}});
  }
  record.spent = message.spent();
  const Result<Digest> hash = Digest::FromBytes(message.state_hash());
  if (!hash.ok()) return NotOurs(entry.key);
  record.state_hash = *hash;
  if (!message.sent_hash().empty()) {
    const Result<Digest> sent = Digest::FromBytes(message.sent_hash());
    if (!sent.ok()) return NotOurs(entry.key);
    record.sent_hash = *sent;
  }
  if (message.has_epsilon()) record.epsilon = message.epsilon();
  return record;
}

std::string SerializePresence(const std::vector<ClientId>& clients) {
  v1::PresenceRecord message;
  for (const ClientId& client : clients) message.add_clients(client.value());
  return message.SerializeAsString();
}

Result<std::vector<ClientId>> ParsePresence(const std::string& bytes) {
  v1::PresenceRecord message;
  if (!message.ParseFromString(bytes)) {
    return Error(ErrorCode::kDataLoss,
                 "store: the list of clients present is damaged: restore a backup");
  }
  std::vector<ClientId> clients;
  for (const std::string& client : message.clients()) clients.emplace_back(client);
  return clients;
}

}  // namespace fedmeta
