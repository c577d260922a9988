#include "fedmeta/coordinator/cohort.h"

#include <algorithm>
#include <string>

#include "fedmeta/core/rng.h"

namespace fedmeta {

bool Population::Add(const ClientId& client) {
  const bool added = names_.insert(client).second;
  if (added) index_.clear();
  return added;
}

bool Population::Remove(const ClientId& client) {
  const bool removed = names_.erase(client) > 0;
  if (removed) index_.clear();
  return removed;
}

const ClientId& Population::at(std::size_t position) const {
  if (index_.empty()) {
    index_.reserve(names_.size());
    for (const ClientId& name : names_) index_.push_back(&name);
  }
  return *index_[position];
}

std::vector<ClientId> DrawCohort(const Population& population, std::size_t count,
                                 std::uint64_t seed, std::string_view leg, std::uint64_t round) {
  const std::size_t present = population.size();
  if (count >= present) return population.All();
  const std::string purpose = "cohort/" + std::string(leg);
  Rng rng(StreamName{.seed = seed, .purpose = purpose, .round = round});
  // Floyd's algorithm: a uniform subset without copying or shuffling the population.
  std::set<std::size_t> positions;
  for (std::size_t last = present - count; last < present; ++last) {
    const auto position = static_cast<std::size_t>(rng.Below(last + 1));
    if (!positions.insert(position).second) positions.insert(last);
  }
  std::vector<ClientId> cohort;
  cohort.reserve(count);
  for (const std::size_t position : positions) cohort.push_back(population.at(position));
  return cohort;
}

}  // namespace fedmeta
