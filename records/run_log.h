#pragma once

#include <memory>

#include "fedmeta/core/logger.h"
#include "fedmeta/records/run_observer.h"

namespace fedmeta {

/// What happens in a run as log lines, with leg, round and attempt: legs, rounds (debug), abandoned
/// attempts and dropped clients (warning), checkpoints, a pause, the end; what a resumed run did
/// before was logged then. No losses and no accuracies. Notes
/// are left to who makes them. The logger outlives the observer.
std::unique_ptr<RunObserver> MakeRunLog(Logger& logger);

}  // namespace fedmeta
