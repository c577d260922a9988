#pragma once

#include <utility>

#include "fedmeta/algorithms/server/learning_rate_schedule.h"
#include "fedmeta/algorithms/server/moments.h"
#include "fedmeta/algorithms/server/server_optimizer.h"

namespace fedmeta {

/// What the optimisers share: a schedule, and moments that are all there is to save. Each .cc adds
/// its Step.
class MomentOptimizer : public ServerOptimizer {
 public:
  Bytes Save() const final { return moments_.Save(); }
  Status Restore(std::span<const std::byte> saved) final { return moments_.Restore(saved); }

 protected:
  MomentOptimizer(LearningRateSchedule schedule, Moments moments)
      : schedule_(schedule), moments_(std::move(moments)) {}

  LearningRateSchedule schedule_;
  Moments moments_;
};

}  // namespace fedmeta
