#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "fedmeta/coordinator/round_store.h"
#include "fedmeta/core/digest.h"
#include "fedmeta/core/ids.h"
#include "fedmeta/core/metric_sums.h"
#include "fedmeta/core/result.h"
#include "fedmeta/protocol/round_key.h"
#include "fedmeta/records/run_records.h"

namespace fedmeta {

/// What a closed attempt measured; metrics summed over the reporting clients, one a metric cell.
struct RoundResult {
  std::vector<MetricSums> metrics;
  /// Evaluation only: clients that disclose their own figures.
  std::vector<std::pair<ClientId, std::vector<MetricSums>>> disclosed;
};

/// How one attempt ended: what the journal keeps of it, and all that follows from it. An engine
/// that is given the records of a run, in order, is where the run was.
struct AttemptRecord {
  RoundKey key;
  bool committed = false;  ///< or, of an evaluation: it brought its figures
  std::string reason;      ///< why not
  bool cut_off = false;    ///< by the end of the process: the federation missed nothing
  std::vector<ClientId> cohort, reported;  ///< in order of name, as `dropped`
  std::vector<DroppedClient> dropped;
  bool on_training_sites = false;  ///< a test for which there were no hold-outs
  RoundResult result;              ///< of a committed one
  std::uint64_t bytes_down = 0, bytes_up = 0;
  double wall_s = 0;                         ///< until its outcome was known
  std::map<std::string, double> parts_s;     ///< "wait", "add", "apply"
  std::vector<SessionRecord> sessions = {};  ///< of a secure attempt, in the order of their numbers
  bool spent = false;  ///< not committed, but clients may have opened it: the round is used up
  Digest state_hash;   ///< training, committed: of the state after it
  std::optional<Digest> sent_hash = {};  ///< the same as clients download it, in another form
  /// Training under differential privacy, committed: spent until and with it, all legs together.
  std::optional<double> epsilon = {};
};

std::string SerializeRecord(const AttemptRecord& record);
/// kDataLoss when the entry is not one of this program's.
Result<AttemptRecord> ParseRecord(const JournalEntry& entry);

std::string SerializePresence(const std::vector<ClientId>& clients);
Result<std::vector<ClientId>> ParsePresence(const std::string& bytes);

}  // namespace fedmeta
