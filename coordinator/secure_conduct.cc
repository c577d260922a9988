#include "fedmeta/coordinator/secure_conduct.h"

#include "fedmeta/coordinator/secure_group.h"

namespace fedmeta {

void SecureConduct::Take(const AttemptRecord& record) {
  RoundKey round = record.key;
  round.attempt = 0;
  if (round != round_ || record.committed) {
    round_ = round;
    round_missing_.clear();
  }
  for (const SessionRecord& session : record.sessions) {
    if (!record.committed) round_missing_.insert(session.missing.begin(), session.missing.end());
    latest_.push_back(session);
    if (latest_.size() > kWindow) latest_.pop_front();
  }
  if (record.spent) round_missing_.clear();  // that round has no further attempts
  Recount();
}

void SecureConduct::Recount() {
  std::map<std::string, std::size_t> misses;
  std::map<std::string, std::set<std::string>> disputes;  // with whom
  for (const SessionRecord& session : latest_) {
    const bool disputed = session.phase == kDisputed;
    for (const std::string& client : std::set(session.missing.begin(), session.missing.end())) {
      if (!disputed) {
        ++misses[client];
        continue;
      }
      for (const std::string& other : session.missing) {
        if (other != client) disputes[client].insert(other);
      }
    }
  }
  for (const auto& [client, others] : disputes) misses[client] += others.size();
  sitting_out_ = round_missing_;
  for (const auto& [client, count] : misses) {
    if (count >= kMisses) sitting_out_.insert(client);
  }
}

bool SecureConduct::SitsOut(const std::string& client) const {
  return sitting_out_.contains(client);
}

}  // namespace fedmeta
