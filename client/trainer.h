#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "fedmeta/client/data/task_generator.h"
#include "fedmeta/client/leg_runtime.h"
#include "fedmeta/core/bytes.h"
#include "fedmeta/core/metric_sums.h"
#include "fedmeta/core/result.h"
#include "fedmeta/core/worker_pool.h"
#include "fedmeta/privacy/local_noise.h"
#include "fedmeta/privacy/ring_vector.h"
#include "fedmeta/protocol/round_plan.h"
#include "fedmeta/v1/policy.pb.h"

namespace fedmeta {

/// One client as training sees it; the generator is borrowed.
struct LocalClient {
  std::string name;
  TaskGenerator* tasks = nullptr;
  std::span<const std::byte> kept =
      {};  ///< what this client kept for the leg; empty the first time
  const v1::Disclose* disclose = nullptr;  ///< what of its metrics is uploaded; null: all
  /// Draws of training tasks; none: the assignment's.
  std::optional<std::uint64_t> seed = {};
};

struct ClientResult {
  Bytes payload;  ///< to upload: ContributionCodec's wire form
  std::vector<MetricSums>
      metrics;  ///< this client's own figures, one a metric cell, undisclosed ones included
  /// Under secure aggregation, in place of the payload: ready to be masked. What went wrong with
  /// the data is then in `failure`, for the site's own eyes, and a masked zero in the vector.
  std::shared_ptr<const RingVector> encoded = {};
  std::optional<LocalNoise> noise = {};  ///< to add in each session, before masking
  std::optional<Error> failure = {};
  Bytes next_kept = {};  ///< training: what it keeps once the round is committed; empty: nothing
};

/// Does what a plan asks, for several clients at once. A live client passes itself; a simulation
/// passes a part of the cohort. The results do not depend on the grouping or the pool. One client's
/// failure is that entry's error, but under secure aggregation no error depends on data.
std::vector<Result<ClientResult>> ExecutePlan(const RoundPlan& plan, const LegRuntime& leg,
                                              std::span<const float> state,
                                              std::span<const LocalClient> clients,
                                              WorkerPool& pool);

/// Workers of a pool for LibTorch: one LibTorch thread each, because threads over tasks beat
/// threads within operations. `threads` 0: one a core.
std::unique_ptr<WorkerPool> MakeLearningPool(std::size_t threads);

}  // namespace fedmeta
