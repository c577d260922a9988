#pragma once

#include <memory>

#include "fedmeta/coordinator/attempt_engine.h"

namespace fedmeta {

/// One attempt in plain mode: AttemptEngine, where an answer is an upload, added to the sum as soon
/// as it is whole. Uploads staged by the deadline are still added; so is one that was staged before
/// its client was lost.
std::unique_ptr<RoundEngine> MakePlainRoundEngine(Attempt attempt, Tickets& tickets);

}  // namespace fedmeta
