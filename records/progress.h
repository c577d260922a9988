#pragma once

#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "fedmeta/core/clock.h"
#include "fedmeta/records/run_observer.h"

namespace fedmeta {

/// What a person sees: on a terminal the display of the contract (one line that moves, tables at
/// evaluations), otherwise one plain line a round, UTC time first. `machine`: "2 threads, OpenBLAS,
/// LibTorch 1.13.1".
std::unique_ptr<RunObserver> MakeProgressDisplay(std::FILE* out, bool is_terminal,
                                                 const std::string& machine, const Clock& clock);
/// Several observers as one, in order.
std::unique_ptr<RunObserver> MakeObserverChain(std::vector<std::unique_ptr<RunObserver>> observers);

}  // namespace fedmeta
