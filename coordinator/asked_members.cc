#include "fedmeta/coordinator/asked_members.h"

#include <algorithm>
#include <map>
#include <utility>

namespace fedmeta {

void AskedMembers::Take(const AttemptRecord& record) {
  if (record.committed) groups_.clear();
  if (!record.spent) return;
  std::map<std::uint32_t, std::vector<ClientId>> last;  // session of each group
  for (const SessionRecord& session : record.sessions) {
    std::vector<ClientId>& members = last[session.group];
    members.clear();
    for (const std::string& member : session.members) members.emplace_back(member);
  }
  groups_.clear();
  for (auto& [group, members] : last) {
    if (!members.empty()) groups_.push_back(std::move(members));
  }
}

std::vector<ClientId> AskedMembers::All() const {
  std::vector<ClientId> all;
  for (const std::vector<ClientId>& group : groups_)
    all.insert(all.end(), group.begin(), group.end());
  std::sort(all.begin(), all.end());
  return all;
}

std::vector<ClientId> AskedMembers::Missing(const Population& present) const {
  std::vector<ClientId> missing = All();
  std::erase_if(missing, [&](const ClientId& client) { return present.Contains(client); });
  return missing;
}

}  // namespace fedmeta
