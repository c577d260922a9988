#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "fedmeta/coordinator/round_engine.h"

namespace fedmeta {

/// Numbers of tickets and timers, unique over an experiment.
class Tickets {
 public:
  std::uint64_t Next() { return ++last_; }

 private:
  std::uint64_t last_ = 0;
};

struct PlainAttempt {
  RoundPlan plan;                ///< training or evaluation
  std::vector<ClientId> cohort;  ///< distinct, in order of name, not empty
  std::uint32_t minimum = 1;     ///< reports below which nothing is committed
  std::uint32_t enough = 0;      ///< reports at which nobody is waited for any more; 0: all
  std::uint32_t population = 0;  ///< training clients present
  Duration report_deadline{};
};

/// One attempt in plain mode:
///
///   begin -> (Persist) -> collect -> (adds in flight) -> close -> (RunWork) -> commit -> (Persist)
///   -> over
///                            |                             |
///                            +-----------> abandon -> (Persist) -> over
///
/// Collecting ends when nobody is left to wait for, when enough have reported, at the deadline
/// (uploads staged by then are still added), or when the minimum can no longer be reached. A client
/// that is lost is not waited for, but takes part again if it joins anew while the attempt still
/// collects; one that was dropped (its own failure, a refused upload) does not. An upload that was
/// staged before its client was lost counts. Cancelling abandons the attempt, except that a commit
/// under way is waited for.
std::unique_ptr<RoundEngine> MakePlainRoundEngine(PlainAttempt attempt, Tickets& tickets);

}  // namespace fedmeta
