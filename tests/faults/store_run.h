#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "fedmeta/coordinator/round_store.h"

namespace fedmeta {

/// The smallest plan that is one: for training, or for evaluation.
RoundPlan PlanOf(const RoundKey& key, const std::optional<RoundKey>& parent);

/// A run of one leg, "demo/maml", that uses everything of a store: each round's states follow from
/// the round before, so that a run that was cut off and goes on ends as one that was not.
struct StoreRun {
  std::uint64_t rounds = 0;
  /// Called with what the store has acknowledged: "begun KEY", "committed N", "charged N",
  /// "ended KEY".
  std::function<void(const std::string&)> acknowledged = nullptr;
  /// A call that fails is made again so many times.
  int tries = 1;
};
Status GoOn(RoundStore& store, const StoreRun& run);

/// What a store must show at any time after any fault, whatever was acknowledged last: the head and
/// the journal agree, and everything that is named can be read. An empty text, or what is wrong.
std::string Faults(RoundStore& store);
/// Of the head: round and digests, as text.
std::string HeadText(RoundStore& store);

}  // namespace fedmeta
