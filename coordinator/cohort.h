#pragma once

#include <cstddef>
#include <cstdint>
#include <set>
#include <string_view>
#include <vector>

#include "fedmeta/core/ids.h"

namespace fedmeta {

/// Clients that are present, in order of name, with access by position. Not thread-safe.
class Population {
 public:
  /// False: it was there already.
  bool Add(const ClientId& client);
  bool Remove(const ClientId& client);
  bool Contains(const ClientId& client) const { return names_.contains(client); }
  std::size_t size() const { return names_.size(); }
  /// The index is rebuilt at the first access after a change; O(1) otherwise.
  const ClientId& at(std::size_t position) const;
  std::vector<ClientId> All() const { return {names_.begin(), names_.end()}; }

 private:
  std::set<ClientId> names_;
  mutable std::vector<const ClientId*> index_;
};

/// `count` distinct clients (all, if there are fewer), every subset equally likely, in order of
/// name. Depends on the names present, not on the order in which they joined. O(count log count)
/// once the population's index stands.
std::vector<ClientId> DrawCohort(const Population& population, std::size_t count,
                                 std::uint64_t seed, std::string_view leg, std::uint64_t round);

}  // namespace fedmeta
