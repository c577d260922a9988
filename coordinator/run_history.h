#pragma once

#include <map>
#include <set>
#include <vector>

#include "fedmeta/coordinator/attempt_record.h"
#include "fedmeta/coordinator/presence.h"
#include "fedmeta/core/ids.h"
#include "fedmeta/core/result.h"

namespace fedmeta {

/// What the attempt was for. Of evaluations, odd attempts are validations and even ones tests.
Step StepOf(const RoundKey& key);

/// How the attempts of a run have ended, leg by leg: legs may have been extended one after the
/// other, so each goes through its own records before it goes on.
class RunHistory {
 public:
  RunHistory() = default;
  /// kDataLoss when a record belongs to no leg or does not follow from those before it. What a run
  /// may do between its parts (more rounds, another cadence of evaluation) is not an error.
  static Result<RunHistory> Create(std::vector<AttemptRecord> records,
                                   const std::set<ExperimentId>& legs);
  /// The leg's records, in order; they are then no longer here.
  std::vector<AttemptRecord> Take(const ExperimentId& leg);

 private:
  std::map<ExperimentId, std::vector<AttemptRecord>> legs_;
};

}  // namespace fedmeta
