#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "fedmeta/core/ids.h"
#include "fedmeta/core/result.h"
#include "fedmeta/protocol/round_key.h"

namespace fedmeta {

/// An attempt that a site was charged for, and the coordinator's epoch at that time.
using ToldCharge = std::pair<std::uint64_t, RoundKey>;

struct ToldBounds {
  std::set<ExperimentId> legs;
  std::uint64_t rounds = 0;
  std::uint32_t retries = 0;
};
/// Out of Ready.charged (v1::ChargedReleases), of a site that may lie: attempts that were possible,
/// each once, at most twice as many as the experiment can take. What is left out is no loss to a
/// site that says the truth; what is invented only lets the run end earlier. kInvalidArgument: no
/// message of its kind.
Result<std::vector<ToldCharge>> ReadToldCharges(const std::string& bytes, const ToldBounds& bounds);

}  // namespace fedmeta
