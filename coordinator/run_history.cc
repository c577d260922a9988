#include "fedmeta/coordinator/run_history.h"

#include <utility>

#include "fedmeta/core/check.h"

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

Result<RunHistory> RunHistory::Create(std::vector<JournalEntry> journal) {
  RunHistory history;
  std::map<ExperimentId, std::uint64_t> used, head;  // numbers of training rounds
  for (std::size_t i = 0; i < journal.size(); ++i) {
    FEDMETA_ASSIGN_OR_RETURN(const AttemptRecord record, ParseRecord(journal[i]));
    const RoundKey& key = record.key;
    const bool trains = StepOf(key) == Step::kTrain;
    // A spent round's number is used up, the state stays: evaluations are of the last commit.
    const std::uint64_t due = trains ? used[key.experiment] + 1 : head[key.experiment];
    if (key.round != due) {
      return DoesNotFollow(key, " where round " + std::to_string(due) + " follows");
    }
    if (trains && (record.committed || record.spent)) used[key.experiment] = key.round;
    if (trains && record.committed) {
      head[key.experiment] = key.round;
      for (const ClientId& client : record.reported) {
        history.last_counted_[client].insert_or_assign(key.experiment, key);
      }
    }
    history.wall_s_ += record.wall_s;
    ++history.left_.try_emplace(key.experiment, Left{.entries = 0, .from = i})
          .first->second.entries;
  }
  history.entries_ = std::move(journal);
  return history;
}

Status RunHistory::CheckLegs(const std::set<ExperimentId>& legs) const {
  for (const auto& [leg, left] : left_) {
    if (!legs.contains(leg)) {
      return DoesNotFollow(entries_[left.from].key, ", of which this experiment knows nothing");
    }
  }
  return {};
}

Status RunHistory::ForEach(const std::function<Status(const AttemptRecord&)>& visit) const {
  for (const JournalEntry& entry : entries_) {
    FEDMETA_ASSIGN_OR_RETURN(const AttemptRecord record, ParseRecord(entry));
    FEDMETA_RETURN_IF_ERROR(visit(record));
  }
  return {};
}

std::optional<AttemptRecord> RunHistory::Next(const ExperimentId& leg) {
  const auto found = left_.find(leg);
  if (found == left_.end()) return std::nullopt;
  Left& left = found->second;
  while (entries_[left.from].key.experiment != leg) ++left.from;
  const JournalEntry entry = std::move(entries_[left.from++]);
  if (--left.entries == 0) left_.erase(found);
  if (left_.empty()) entries_ = {};
  Result<AttemptRecord> record = ParseRecord(entry);
  FEDMETA_CHECK(record.ok());  // Create has read it
  return *std::move(record);
}

}  // namespace fedmeta
