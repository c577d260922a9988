#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <vector>

#include "fedmeta/algorithms/server/server_registry.h"
#include "fedmeta/coordinator/leg.h"
#include "fedmeta/coordinator/round_engine.h"
#include "fedmeta/core/bytes.h"
#include "fedmeta/core/digest.h"
#include "fedmeta/core/result.h"
#include "fedmeta/core/secret_bytes.h"
#include "fedmeta/privacy/contribution_codec.h"
#include "fedmeta/protocol/round_plan.h"

namespace fedmeta {

/// What the store holds of a leg: where it goes on from.
struct SavedState {
  std::vector<float> state;
  Bytes optimizer_state;
};

/// The heavy work of the engine's instructions: sums, server rules, state. Holds the current leg's
/// state and optimiser. Not thread-safe: one call at a time, on the work pool (live) or the calling
/// thread (simulation).
class RoundWorker {
 public:
  RoundWorker(std::span<const Leg> legs, ServerRegistry registry, std::uint64_t rounds);
  ~RoundWorker();

  /// From `saved`, else from the leg's initial state.
  Status StartLeg(std::size_t leg, const std::optional<SavedState>& saved = std::nullopt);
  /// A new attempt: empties the sum. `maximum_contributors`: size of the cohort.
  Status BeginAttempt(const RoundPlan& plan, std::uint32_t maximum_contributors);
  /// kAddUpload: hostile payload; an error names what is wrong with it and leaves the sum as it
  /// was.
  Status AddUpload(const ClientId& client, bool disclosed, std::span<const std::byte> payload);
  /// kAddUpload of a session: a masked payload, into the sum of its group. A newer session of a
  /// group begins its sum anew.
  Status AddMasked(std::uint32_t group, std::uint32_t session, std::span<const std::byte> payload);
  /// kChargePrivacy: the group's masked sum.
  std::span<const std::byte> masked_sum(std::uint32_t group) const;
  /// kUnmask: opens the sum of the group's `members`.
  Status Unmask(std::uint32_t group, std::uint32_t members,
                std::span<const SecretBytes> self_mask_keys);
  /// kCloseRound: sum -> (differential privacy in mode central: clipped contributions, noise) ->
  /// mean -> next state (training; current state stays until Commit) and metrics.
  Result<RoundResult> Close(const RoundPlan& plan, std::uint32_t reported,
                            std::uint32_t population);
  /// The next state becomes the current one. `hash`: its digest, which the store has taken already.
  void Commit(const Digest& hash);
  void Abandon();

  /// Current state, float32 little-endian, shared with downloads; valid after StartLeg.
  std::shared_ptr<const Bytes> state() const;
  const Digest& state_hash() const;
  /// The same as clients download it, and its digest: state() and nothing where that is the form.
  std::shared_ptr<const Bytes> sent() const;
  const std::optional<Digest>& sent_hash() const;
  /// The state computed by Close, not yet committed, with its optimiser's moments: what CommitRound
  /// stores.
  std::span<const float> next_state() const;
  const std::optional<Digest>& next_sent_hash() const;
  Bytes optimizer_state() const;
  const Leg& leg() const;

 private:
  struct Content;
  std::unique_ptr<Content> content_;
};

}  // namespace fedmeta
