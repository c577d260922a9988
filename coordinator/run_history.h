#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <vector>

#include "fedmeta/coordinator/attempt_record.h"
#include "fedmeta/coordinator/presence.h"
#include "fedmeta/coordinator/round_store.h"
#include "fedmeta/core/ids.h"
#include "fedmeta/core/result.h"

namespace fedmeta {

/// What the attempt was for. Of evaluations, odd attempts are validations and even ones tests.
Step StepOf(const RoundKey& key);

/// How the attempts of a run have ended, leg by leg: legs may have been extended one after the
/// other, so each goes through its own records before it goes on. Entries are kept as the journal
/// has them, a sixth of what records take, and read one at a time: a run of months has 100,000.
/// Movable, not copyable: what is told is gone.
class RunHistory {
 public:
  /// In which attempt of each leg a client was last counted.
  using LastCounted = std::map<ClientId, std::map<ExperimentId, RoundKey>>;

  RunHistory() = default;
  RunHistory(RunHistory&&) = default;
  RunHistory& operator=(RunHistory&&) = default;
  /// kDataLoss when an entry is not one of this program's, or does not follow from those before it.
  /// What a run may do between its parts (more rounds, another cadence of evaluation) is not an
  /// error.
  static Result<RunHistory> Create(std::vector<JournalEntry> journal);

  bool empty() const { return entries_.empty(); }
  std::size_t size() const { return entries_.size(); }
  bool Has(const ExperimentId& leg) const { return left_.contains(leg); }
  /// kDataLoss when an entry belongs to none of these legs.
  Status CheckLegs(const std::set<ExperimentId>& legs) const;
  double wall_s() const { return wall_s_; }  ///< of all attempts
  const LastCounted& last_counted() const { return last_counted_; }
  /// In order, until `visit` fails. Before the first Next.
  Status ForEach(const std::function<Status(const AttemptRecord&)>& visit) const;
  /// The leg's records, one after the other; each is then no longer here.
  std::optional<AttemptRecord> Next(const ExperimentId& leg);

 private:
  std::vector<JournalEntry> entries_;
  struct Left {
    std::size_t entries = 0;  // not told
    std::size_t from = 0;     // place of the first of them, or before it
  };
  std::map<ExperimentId, Left> left_;
  LastCounted last_counted_;
  double wall_s_ = 0;
};

}  // namespace fedmeta
