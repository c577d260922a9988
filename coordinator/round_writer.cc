#include "fedmeta/coordinator/round_writer.h"

#include <utility>

namespace fedmeta {

Status RoundWriter::Write(const Persist& what) {
  const RoundKey& key = what.plan.key();
  const ExperimentId run(key.experiment.value().substr(0, key.experiment.value().rfind('/')));
  auto lease = leases_.find(run);
  if (lease == leases_.end()) {
    FEDMETA_ASSIGN_OR_RETURN(Lease acquired, store_.Acquire(run));
    lease = leases_.emplace(run, std::move(acquired)).first;
  }
  switch (what.record) {
    case Record::kBeginAttempt:
      return store_.BeginAttempt(lease->second, what.plan);
    case Record::kAbandonAttempt:
      return store_.EndAttempt(lease->second, {.key = key, .outcome = {}});
    case Record::kCommitRound:
      break;
  }
  CommittedRound round{.key = key, .state = {}, .optimizer_state = {}, .client_states = {}};
  FEDMETA_ASSIGN_OR_RETURN(round.state, store_.PutBlob(AsBytes(worker_.next_state())));
  FEDMETA_ASSIGN_OR_RETURN(round.optimizer_state, store_.PutBlob(worker_.optimizer_state()));
  return store_.CommitRound(lease->second, what.plan, round, {});
}

}  // namespace fedmeta
