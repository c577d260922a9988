#include "fedmeta/privacy/seed_recovery.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "fedmeta/privacy/session_keys.h"
#include "fedmeta/privacy/threshold.h"

namespace fedmeta {

SeedRecovery::SeedRecovery(std::size_t members)
    : threshold_(OpeningThreshold(members)), by_source_(members) {}

void SeedRecovery::Add(std::size_t source, std::size_t holder, std::string share) {
  by_source_[source].points.push_back(static_cast<std::uint32_t>(holder + 1));
  by_source_[source].shares.push_back(std::move(share));
}

bool SeedRecovery::Complete() const {
  return std::all_of(by_source_.begin(), by_source_.end(),
                     [&](const Held& held) { return held.points.size() >= threshold_; });
}

const ShareCombiner& SeedRecovery::CombinerOf(const std::vector<std::uint32_t>& points) {
  const auto known = combiners_.find(points);
  if (known != combiners_.end()) return known->second;
  return combiners_.emplace(points, ShareCombiner(points)).first->second;
}

SeedRecovery::Found SeedRecovery::Recover(std::size_t source,
                                          const std::function<bool(const SecretBytes&)>& matches) {
  const Held& held = by_source_[source];
  const std::size_t count = held.points.size();
  // With no share to spare there is one row, however it is begun.
  const std::size_t rows = count == threshold_ ? 1 : count;
  Found found;
  for (std::size_t first = 0; first < rows; ++first) {
    std::vector<std::uint32_t> points;
    std::vector<std::string_view> shares;
    for (std::size_t i = 0; i < threshold_; ++i) {
      points.push_back(held.points[(first + i) % count]);
      shares.emplace_back(held.shares[(first + i) % count]);
    }
    std::optional<SecretBytes> seed = CombinerOf(points).Combine(shares, kSeedBytes);
    if (seed && matches(*seed)) {
      found.seed = std::move(seed);
      return found;
    }
    found.consistent = false;
  }
  return found;
}

}  // namespace fedmeta
