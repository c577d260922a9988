#include "fedmeta/coordinator/run_history.h"

#include <utility>

namespace fedmeta {
namespace {

Error DoesNotFollow(const RoundKey& key, const std::string& why) {
  return {ErrorCode::kDataLoss,
          "store: the journal has " + key.ToString() + why + ": restore a backup"};
}

}  // namespace

Step StepOf(const RoundKey& key) {
  if (key.purpose == Purpose::kTrain) return Step::kTrain;
  return key.attempt % 2 == 0 ? Step::kTest : Step::kValidate;
}

Result<RunHistory> RunHistory::Create(std::vector<AttemptRecord> records,
                                      const std::set<ExperimentId>& legs) {
  RunHistory history;
  std::map<ExperimentId, std::uint64_t> used, head;  // numbers of training rounds
  for (AttemptRecord& record : records) {
    const RoundKey key = record.key;
    if (!legs.contains(key.experiment)) {
      return DoesNotFollow(key, ", of which this experiment knows nothing");
    }
    const bool trains = StepOf(key) == Step::kTrain;
    // A spent round's number is used up, the state stays: evaluations are of the last commit.
    const std::uint64_t due = trains ? used[key.experiment] + 1 : head[key.experiment];
    if (key.round != due) {
      return DoesNotFollow(key, " where round " + std::to_string(due) + " follows");
    }
    if (trains && (record.committed || record.spent)) used[key.experiment] = key.round;
    if (trains && record.committed) head[key.experiment] = key.round;
    history.legs_[key.experiment].push_back(std::move(record));
  }
  return history;
}

std::vector<AttemptRecord> RunHistory::Take(const ExperimentId& leg) {
  auto node = legs_.extract(leg);
  return node.empty() ? std::vector<AttemptRecord>() : std::move(node.mapped());
}

}  // namespace fedmeta
