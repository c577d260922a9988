#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "fedmeta/coordinator/charged_attempt.h"
#include "fedmeta/coordinator/leg.h"
#include "fedmeta/coordinator/round_engine.h"
#include "fedmeta/coordinator/run_history.h"
#include "fedmeta/core/clock.h"
#include "fedmeta/privacy/party.h"
#include "fedmeta/v1/experiment.pb.h"

namespace fedmeta {

/// What the engine needs to know of a leg; the states themselves stay with the RoundWorker.
struct LegFacts {
  std::string name, method;
  bool main = false, trains = true;
  Digest assignment_hash;
  std::uint64_t assignment_size = 0, coordinates = 0;
  double maximum_weight = 1;
  double adaptation_rate = 0.1;
  Digest state_hash;  ///< of the initial state, float32 little-endian
  /// Of the same as clients download it, where that is another form.
  std::optional<Digest> sent_hash = {};
  std::uint64_t state_bytes = 0;         ///< to download; 0: 4 for each coordinate
  std::uint64_t update_coordinates = 0;  ///< of an upload; 0: all
  std::uint32_t update_bits = 0;         ///< of each of them in a plain upload; 0: float32
  struct Secure {
    v1::SecureTerms terms;
    Digest question;  ///< QuestionHash of the assignment
  };
  std::optional<Secure> secure = {};  ///< SecureFactsOf
};
/// Of a leg under secure aggregation.
std::optional<LegFacts::Secure> SecureFactsOf(const Leg& leg);
/// Of a leg whose updates or state are compressed.
std::optional<v1::CompressionTerms> CompressionOf(const Leg& leg);
/// Takes the digest of the initial state.
LegFacts FactsOf(const Leg& leg);
std::vector<LegFacts> FactsOf(std::span<const Leg> legs);
/// "<experiment>/<leg>": what the leg is on the wire and in the store.
ExperimentId LegId(const v1::Experiment& experiment, std::string_view leg);

/// Who takes part, as sessions of secure aggregation verify it; outlives the engine.
struct SecureParties {
  std::string federation = {};
  const PeerVerifier* verifier = nullptr;
};

/// What figures over fewer than ten clients say of single ones (standard deviation, worst client).
enum class SmallGroups : std::uint8_t {
  kHide,  ///< live: null
  kShow,  ///< simulation
};

/// What follows what in one experiment: for each leg, rounds, evaluations every k rounds and at the
/// end, retries; then the choice of settings and rounds on validation, the summary, the end. Owns
/// the current RoundEngine; one an experiment, on that experiment's strand. Sans-I/O,
/// deterministic: cohorts are drawn from (seed, "cohort/<leg>", round) over the joined training
/// clients in order of name, so a retry with the same clients present asks the same cohort.
///
/// Main legs run first, then the baselines, each group in the order given. Every round waits until
/// federation.minimum_cohort training clients are present, the very first for `cohort` of them;
/// after join_deadline it goes on with at least minimum_cohort or fails.
///
/// A missed quorum (an attempt below its minimum, too few clients at the join deadline) is noted
/// and answered as federation.on_quorum_miss says. Paused, the run goes on when a client joins and
/// enough are present, with fresh retries.
///
/// A run that goes on is given its history (Restore): it is told again by the Report instructions
/// and the engine is then where the run was. It waits until everyone who was present is so again,
/// at most lost_after. Retries start afresh; attempt numbers go on.
///
/// Evaluation: two attempts, validation (validation clients, else training clients; part
/// VALIDATION) and test (hold-outs, part TEST; else training clients, part TEST), each over shots x
/// learning rates x steps, one report suffices. Their keys carry the last committed round (0: none)
/// and odd attempts for validation, even ones for test, so that keys stay unique over
/// retries. The best round and the best leg of a method are chosen by evaluation.select on
/// validation; the hold-out figures of exactly that round are the final ones.
///
/// Differential privacy (modes central and distributed): each training round that is committed, of
/// any leg, is a release, charged before it comes out; under secure aggregation each attempt at one
/// that is opened, before it is, whether it is committed or not. When the budget does not allow
/// another, the leg ends with an evaluation of what it has come to, further legs do not begin, and
/// the run ends as kBudgetSpent. Evaluations are not charged: their figures are outside of the
/// promise.
///
/// Checkpoints: "round-N" at each evaluation of a main leg ("<leg>-round-N" when the main method is
/// a grid), "best" whenever validation improves over all main legs so far, "final" at the end of
/// each main leg that holds the best round, "baseline-<method>" whenever validation improves over
/// that method's legs. Metadata: "leg", "method", "round", "tuned": JSON {"<shots>":
/// {"learning_rate": .., "steps": .., "by_steps": {"<steps>": learning_rate}}}.
///
/// Secure aggregation, where the legs' terms say so: no round is tried below the terms' minimum,
/// evaluations included; who missed a session sits out the further attempts of its round, and after
/// three in the last twenty sessions of the leg all attempts until they are forgotten. A round that
/// was opened without a usable sum is spent: it is one of the experiment's rounds, the state stays,
/// and three in succession end the run. The round after it asks exactly the same clients, group by
/// group, because sites answer the same model to nobody else; it waits for them as long as
/// join_deadline, then asks others.
class ExperimentEngine {
 public:
  ExperimentEngine(const v1::Experiment& experiment, std::vector<LegFacts> legs,
                   SmallGroups small_groups = SmallGroups::kHide, SecureParties parties = {});
  ~ExperimentEngine();
  ExperimentEngine(const ExperimentEngine&) = delete;
  ExperimentEngine& operator=(const ExperimentEngine&) = delete;

  /// Before Start: how the attempts of this run ended so far, in order, and who was present.
  /// kDataLoss when they do not follow from one another.
  /// `charged`: releases that the store has charged to the privacy budget. `interrupted`: the
  /// attempt with which its leg goes on: what was charged is opened or spent before anything else
  /// is asked.
  Status Restore(RunHistory history, std::vector<ClientId> present, std::uint64_t charged = 0,
                 std::optional<ChargedAttempt> interrupted = {});
  /// Releases that the store does not know of, but sites were charged for: they count, too.
  void ChargeFurther(std::uint64_t releases);
  std::vector<Instruction> Start(TimePoint now);
  /// ClientJoined before Start only makes clients known: a simulation hands in all of them, so that
  /// the first cohort is drawn from all.
  std::vector<Instruction> Handle(const Event& event, TimePoint now);
  /// Digest of the current leg's state. Each leg starts with LegFacts::state_hash; after each
  /// commit the driver calls this before it hands in the StoreFinished of kCommitRound, so that the
  /// next plan names the new state. `sent`: of what clients download, where that is another form.
  void SetStateHash(const Digest& digest, const std::optional<Digest>& sent = {});
  bool finished() const;
  /// Only a ClientJoined or CancelAsked moves it on.
  bool paused() const;
  /// For status pages.
  std::string_view phase() const;

 private:
  class Implementation;
  std::unique_ptr<Implementation> implementation_;
};

}  // namespace fedmeta
