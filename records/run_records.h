#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "fedmeta/core/metric_sums.h"

namespace fedmeta {

struct DroppedClient {
  std::string client = {}, phase = {}, reason = {};
};

/// One session of secure aggregation: the sum over exactly `members` was opened, or nothing was.
struct SessionRecord {
  std::uint32_t session = 0, group = 0;
  std::vector<std::string> members = {};
  bool opened = false;
  std::string phase = {}, reason = {};    ///< where and why it ended without
  std::vector<std::string> missing = {};  ///< who made it end
};

/// One line of rounds.jsonl: a committed training round, or an abandoned attempt (committed false,
/// with the reason).
struct RoundRecord {
  std::string leg = {};  ///< "maml", "fedavg-2"
  std::uint64_t round = 0;
  std::uint32_t attempt = 1;
  bool committed = true;
  std::string reason = {};  ///< of an abandoned attempt
  std::vector<std::string> cohort = {}, reported = {};
  std::vector<DroppedClient> dropped = {};
  MetricSums metrics = {};  ///< summed over the reporting clients
  std::uint64_t bytes_down = 0,
                bytes_up = 0;  ///< state, assignment, plan and payload bytes, without framing
  double wall_s = 0;
  std::map<std::string, double> parts_s = {};  ///< "wait", "add", "apply"
  /// Spent until and with this attempt; null without differential privacy, or where only sites
  /// account for it.
  std::optional<double> epsilon = {};
  std::vector<SessionRecord> sessions = {};  ///< secure aggregation, in order
  bool spent = false;  ///< opened without a usable sum: the round's number is used up
};

/// One evaluated client (simulation, or a site that discloses), or the sum over sites (client
/// empty).
struct EvaluationCell {
  std::uint32_t shots = 0;
  double learning_rate = 0;
  std::uint32_t steps = 0;
  MetricSums sums = {};
};
struct EvaluationRecord {
  std::string leg = {}, method = {};
  std::uint64_t round = 0;
  std::string client = {};  ///< empty: summed
  bool holdout =
      false;  ///< test part of hold-outs (or of participants where there are none), else validation
  std::vector<EvaluationCell> cells = {};  ///< shots x learning rates x steps, steps fastest
};

/// One client at one cell: simulation, or a site that discloses.
struct ClientFigures {
  std::string client = {};
  MetricSums sums = {};
};

/// How good a classifier's probabilities are; NaN where nothing was counted.
struct ProbabilityScores {
  double auc = 0, auc_worst = 0;  ///< mean over the clients that have both classes; of one client
  double log_loss = 0, log_loss_worst = 0;
  double brier = 0, calibration_error = 0;
};

/// Means over evaluated clients at one (shots, steps), at the learning rate that validation chose
/// for it.
struct FinalCell {
  std::uint32_t shots = 0, steps = 0;
  double learning_rate = 0;
  bool tuned = false;  ///< steps too were chosen on validation
  double accuracy_mean = 0, loss_mean = 0;
  std::optional<double> accuracy_std = {},
                        accuracy_worst_decile = {};  ///< null: fewer than 10 disclosing clients
                                                     ///< (worst client below 10 in simulation)
  std::uint32_t clients = 0;
  double diverged_share = 0;
  MetricSums sums = {};                       ///< of the cell, over all clients
  std::vector<ClientFigures> disclosed = {};  ///< in the order of their names
  /// Read from a summary, which holds them in place of `sums` and `disclosed`.
  std::optional<ProbabilityScores> scores = {};
};
struct MethodSummary {
  std::string method = {}, leg = {};  ///< the leg that validation chose
  std::uint64_t best_round = 0;
  double validation_score = 0;
  std::vector<FinalCell> cells = {};
};

/// kPaused: a quorum was missed and federation.on_quorum_miss is pause; resuming goes on.
/// kBudgetSpent: the next release would have passed the privacy budget.
enum class RunStatus { kCompleted, kFailed, kCancelled, kInterrupted, kPaused, kBudgetSpent };
std::string RunStatusName(RunStatus status);

/// What a run with differential privacy spent, and on which assumptions.
struct PrivacySummary {
  std::string mode = {};               ///< "central", "distributed", "local"
  std::string unit = {};               ///< "client", "record": whose presence it hides
  std::optional<double> epsilon = {};  ///< null: each site keeps its own account
  double delta = 0;
  double clip = 0, noise_multiplier = 0;
  std::uint64_t releases = 0;  ///< charged, those that never came out included
  std::optional<double> budget_epsilon = {};
  double budget_delta = 0;
  std::string assumption = {};  ///< one sentence
};

struct RunSummary {
  RunStatus status = RunStatus::kCompleted;
  std::string reason = {};   ///< why not completed
  std::uint64_t rounds = 0;  ///< committed, of the main leg
  std::uint64_t parameters = 0;
  std::uint64_t reports = 0, dropped = 0;
  double wall_s = 0;
  /// No held-out site took part, so the final figures are of the training sites on examples they
  /// may have trained on: how well a new site does is for `fedmeta adapt` to say.
  bool tested_on_training_sites = false;
  MethodSummary main = {};
  std::vector<MethodSummary> baselines = {};
  std::optional<PrivacySummary> privacy = {};  ///< null without differential privacy
};

/// What manifest.json says beside versions, which RunFolder fills in.
struct ManifestFacts {
  std::string protocol = {};             ///< "1.0"
  std::string blas = {}, libtorch = {};  ///< empty where not linked
  std::uint32_t threads = 0;
  std::uint64_t seed = 0;
  std::map<std::string, std::string> data_fingerprints = {};
  std::string mode = {};  ///< "simulation" or "live"
};

}  // namespace fedmeta
