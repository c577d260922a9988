#pragma once

#include <cstdint>
#include <string>

#include "fedmeta/core/digest.h"
#include "fedmeta/core/result.h"
#include "fedmeta/protocol/round_key.h"

namespace fedmeta {

/// What a session is about: enough to decide, record and charge by.
struct SessionFacts {
  RoundKey key;  ///< its session number included
  std::uint32_t group = 0;
  Digest plan_hash = {};
  /// SHA-256 over every byte that affects the update (state, model, algorithm, tasks, dictionary,
  /// what is asked), and nothing else: not the experiment's name, its seed or the round. So the
  /// same model asked again is recognised under any name.
  Digest model_hash = {};
  Digest session = {};        ///< zeros before the members are known (R0)
  std::uint32_t members = 0;  ///< likewise
  /// SHA-256 over who they are (identities with their organisations, sorted, each with its length
  /// before it), likewise.
  Digest member_set = {};
};

/// What a site has opened, for ever: per data source, over all experiments. Each Record... is
/// durable (written and synced) when it returns success, and the caller sends nothing unless it
/// does; a wrapper may do more at these points (charge a privacy budget, keep an outbound log). An
/// error ends the session without a trace outside. One call at a time.
class OpeningLatch {
 public:
  virtual ~OpeningLatch() = default;
  /// Before R0, and again in R1 once the members are known. kFailedPrecondition: the round
  /// (experiment, purpose, round) was opened; or the model was masked under another round of this
  /// purpose, not always for the one set of members that it is asked of now (in R0: for more than
  /// one set), and the site has not opted in.
  virtual Status CheckStart(const SessionFacts& facts) = 0;
  /// Before R2 leaves: (purpose, model) belongs to this round and these members from now on. Checks
  /// again.
  virtual Status RecordMasked(const SessionFacts& facts) = 0;
  /// Before R3 leaves: the round is opened, by this session. Checks again. The same session again
  /// succeeds.
  virtual Status RecordOpened(const SessionFacts& facts) = 0;
};

}  // namespace fedmeta
