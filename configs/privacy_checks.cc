#include "fedmeta/configs/privacy_checks.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <string>
#include <utility>

#include "fedmeta/configs/plugin_keys.h"
#include "fedmeta/configs/schema.h"
#include "fedmeta/core/text.h"
#include "fedmeta/privacy/privacy_account.h"
#include "fedmeta/privacy/secure_terms.h"
#include "fedmeta/privacy/threshold.h"

namespace fedmeta {
namespace {

constexpr char kBlock[] = "privacy.differential_privacy";

/// What of one record's gradient is its own: these go by first-order gradients of single records
/// alone. Others would have to be looked at first.
constexpr std::array<std::string_view, 3> kRecordLevelAlgorithms = {"fedavg", "fomaml", "reptile"};

/// For people: four digits.
std::string Short(double value) {
  char text[32];
  std::snprintf(text, sizeof(text), "%.4g", value);
  return text;
}

bool Trains(const v1::Plugin& method) {
  const auto settings = Unpack(method.settings());
  return settings == nullptr || !SummaryOf(*settings->GetDescriptor()).baseline_only();
}

class PrivacyChecks {
 public:
  PrivacyChecks(const v1::Experiment& experiment, const SourceMap& places,
                std::vector<Problem>& problems)
      : experiment_(experiment),
        keys_(experiment.privacy().differential_privacy()),
        places_(places),
        problems_(problems) {}

  void Run() {
    // What the binder has refused is not set: it would be reported again.
    if (!keys_.has_mode() || !keys_.has_clip() || !keys_.has_delta()) return;
    if (keys_.mode() == "local") {
      CheckLocal();
    } else {
      CheckSum();
    }
    if (keys_.has_assumed_colluders() && keys_.mode() != "distributed") {
      Report("assumed_colluders",
             "is for mode distributed, which is " + keys_.mode() + "; remove it");
    }
  }

 private:
  void Report(const std::string& key, const std::string& message) {
    const std::string path = key.empty() ? kBlock : std::string(kBlock) + "." + key;
    ReportAt(path, message);
  }
  void ReportAt(const std::string& path, const std::string& message) {
    problems_.push_back({places_.Find(path), path + " " + message});
  }

  /// Modes central and distributed.
  void CheckSum() {
    const std::string& rule = experiment_.server().aggregation().name();
    if (!rule.empty() && rule != "weighted_mean") {
      ReportAt("server.aggregation.name", "must be weighted_mean with " + std::string(kBlock) +
                                              ".mode " + keys_.mode() +
                                              ", whose noise is that of a sum, got " + rule);
    }
    CheckCarrier();
    CheckWhole();
    const Result<double> rate = SamplingRate(experiment_);
    if (!rate.ok()) {
      Report("sampling",
             "poisson needs a simulation whose number of training clients stands in "
             "data.partition; set it to none");
      return;
    }
    CheckAccount(*rate);
  }

  /// Whether the sums can carry the noise. How many coordinates a model has is not known here, so
  /// this asks for the fewest; with the model it is asked again before anything starts.
  void CheckCarrier() {
    const v1::SecureAggregation& secure = experiment_.privacy().secure_aggregation();
    if (secure.mode() != "secure") {
      if (keys_.mode() == "distributed") {
        Report("mode",
               "distributed needs privacy.secure_aggregation.mode secure: without masks the "
               "coordinator would see each client's update with its part of the noise alone; "
               "nearest are that and mode central");
      }
      return;
    }
    const Result<RingBits> bits = RingBitsOf(secure.ring_bits());
    if (!bits.ok() || (*bits != RingBits::k32 && *bits != RingBits::k64)) {
      ReportAt("privacy.secure_aggregation.ring_bits",
               "must be 32 or 64 with " + std::string(kBlock) + ".mode " + keys_.mode() +
                   ", whose sensitivity counts on rounding to the nearest integer, got " +
                   std::to_string(secure.ring_bits()));
      return;
    }
    // Otherwise refused already.
    const v1::SecureTerms terms = SecureTermsOf(experiment_);
    if (!keys_.has_noise_multiplier() || terms.minimum() < kSmallestSession) return;
    const StateLayout smallest =
        StateLayout::Create({{.name = "any",
                              .rule = ServerRule::kOptimize,
                              .scale = 1,
                              .tensors = {{"any", {1}, TensorKind::kBody}}}})
            .value();
    const Result<PrivateSum> sum = SecurePrivateSum(terms, PrivacyTermsOf(keys_), smallest);
    if (!sum.ok()) problems_.push_back({places_.Find(kBlock), sum.error().message()});
  }

  /// The sensitivity counts every coordinate, rounded once.
  void CheckWhole() {
    const v1::Compression& compression = experiment_.federation().compression();
    const auto refuse = [this](const std::string& key, const std::string& whole) {
      ReportAt("federation.compression." + key, "must be " + whole + " with " +
                                                    std::string(kBlock) + ".mode " + keys_.mode() +
                                                    ": the noise is that of whole updates");
    };
    if (compression.has_fraction() && compression.fraction() < 1) refuse("fraction", "1");
    if (compression.rotation()) refuse("rotation", "false");
    if (compression.has_bits() && compression.bits() < 32) refuse("bits", "32");
  }

  void CheckAccount(double rate) {
    const std::uint64_t releases = PlannedReleases(experiment_);
    const Accountant accountant = RingAccountant(rate);
    if (!keys_.has_noise_multiplier()) {
      // Filled in from epsilon where that can be.
      const std::string why =
          keys_.has_epsilon() ? NoiseFor(accountant, rate, releases, keys_.epsilon(), keys_.delta())
                                    .error()
                                    .message()
                              : "";
      Report(keys_.has_epsilon() ? "epsilon" : "",
             keys_.has_epsilon() ? why : "needs noise_multiplier or epsilon");
      return;
    }
    const ReleaseTerms terms{.noise_multiplier = keys_.noise_multiplier(), .sampling_rate = rate};
    if (keys_.has_epsilon()) {
      const double spent = SpentBy(accountant, terms, releases, keys_.delta()).value().epsilon;
      if (spent > keys_.epsilon()) {
        Report("noise_multiplier",
               "is too small for privacy.differential_privacy.epsilon: " +
                   std::to_string(releases) + " releases cost " + Short(spent) + " > " +
                   FormatNumber(keys_.epsilon()) + "; remove it, or make it at least " +
                   NeededNoise(accountant, rate, releases, keys_.epsilon(), keys_.delta()));
      }
    }
    if (!keys_.has_budget() || !keys_.budget().has_epsilon()) return;
    const double budget = keys_.budget().epsilon();
    const double delta = keys_.budget().has_delta() ? keys_.budget().delta() : keys_.delta();
    const double one = SpentBy(accountant, terms, 1, delta).value().epsilon;
    if (one > budget) {
      Report("budget.epsilon",
             "does not allow a single round: with noise_multiplier " +
                 FormatNumber(keys_.noise_multiplier()) + " it costs " + Short(one) + " > " +
                 FormatNumber(budget) + "; noise_multiplier " +
                 NeededNoise(accountant, rate, 1, budget, delta) + " allows one, " +
                 NeededNoise(accountant, rate, releases, budget, delta) + " all " +
                 std::to_string(releases));
    }
  }

  static std::string NeededNoise(Accountant accountant, double rate, std::uint64_t releases,
                                 double epsilon, double delta) {
    const Result<double> noise = NoiseFor(accountant, rate, releases, epsilon, delta);
    return noise.ok() ? FormatNumber(*noise) : "(none)";
  }

  void CheckLocal() {
    if (keys_.has_epsilon()) {
      Report("epsilon",
             "is for modes central and distributed: in mode local it follows at each site from "
             "the number of its records; give noise_multiplier, and a budget in the site's own "
             "file (policy.epsilon_budget)");
    } else if (!keys_.has_noise_multiplier()) {
      Report("", "needs noise_multiplier in mode local");
    }
    if (keys_.has_budget()) {
      Report("budget",
             "is for modes central and distributed: in mode local each site has its own "
             "(policy.epsilon_budget in its file); remove it");
    }
    if (keys_.sampling() == "poisson") {
      Report("sampling", "poisson is for modes central and distributed; remove it");
    }
    CheckMethod("algorithm.name", experiment_.algorithm());
    for (int i = 0; i < experiment_.evaluation().baselines_size(); ++i) {
      const v1::Plugin& baseline = experiment_.evaluation().baselines(i);
      if (Trains(baseline)) {
        CheckMethod("evaluation.baselines[" + std::to_string(i) + "].name", baseline);
      }
    }
    CheckRecordsStandAlone();
  }

  void CheckMethod(const std::string& path, const v1::Plugin& method) {
    const std::string& name = method.name();
    if (name.empty() || std::find(kRecordLevelAlgorithms.begin(), kRecordLevelAlgorithms.end(),
                                  name) != kRecordLevelAlgorithms.end()) {
      return;
    }
    ReportAt(path, "must be fedavg, fomaml or reptile with " + std::string(kBlock) +
                       ".mode local: only their updates are made of single records' gradients, "
                       "got " +
                       name + (name == "maml" ? " (second derivatives); nearest is fomaml" : ""));
  }

  /// The gradient of a record must not depend on other records.
  void CheckRecordsStandAlone() {
    const std::string normalization =
        PluginKeys(experiment_.model().settings()).Text("normalization");
    if (normalization == "batch" || normalization == "averaged" || normalization == "local") {
      ReportAt("model.normalization",
               normalization +
                   " takes statistics over records, which mode local cannot bound; "
                   "use group, none or frozen");
    }
    const v1::Data& data = experiment_.data();
    if (data.standardize() == "local") {
      ReportAt("data.standardize",
               "local takes mean and deviation over records, which mode local cannot bound; use "
               "given or none");
    }
    if (data.class_weights() == "balanced") {
      ReportAt("data.class_weights",
               "balanced counts records by class, which mode local cannot bound; use none");
    }
    for (int i = 0; i < data.features_size(); ++i) {
      const std::string& missing = data.features(i).missing();
      if (missing != "mean" && missing != "median") continue;
      ReportAt("data.features[" + std::to_string(i) + "].missing",
               missing +
                   " is taken over records, which mode local cannot bound; use "
                   "zero_with_flag, drop_row or refuse");
    }
  }

  const v1::Experiment& experiment_;
  const v1::DifferentialPrivacy& keys_;
  const SourceMap& places_;
  std::vector<Problem>& problems_;
};

}  // namespace

std::uint64_t PlannedReleases(const v1::Experiment& experiment) {
  std::uint64_t legs = 1 + static_cast<std::uint64_t>(experiment.algorithm().alternatives_size());
  for (const v1::Plugin& baseline : experiment.evaluation().baselines()) {
    if (Trains(baseline)) legs += 1 + static_cast<std::uint64_t>(baseline.alternatives_size());
  }
  return legs * experiment.federation().rounds();
}

void FillPrivacyDefaults(v1::Experiment& experiment) {
  if (!experiment.privacy().has_differential_privacy()) return;
  v1::DifferentialPrivacy& keys = *experiment.mutable_privacy()->mutable_differential_privacy();
  if (keys.mode() == "local") return;
  if (keys.has_epsilon() && !keys.has_budget()) {
    keys.mutable_budget()->set_epsilon(keys.epsilon());
  }
  if (keys.has_budget() && !keys.budget().has_delta() && keys.has_delta()) {
    keys.mutable_budget()->set_delta(keys.delta());
  }
  if (!keys.has_epsilon() || keys.has_noise_multiplier()) return;
  const Result<double> rate = SamplingRate(experiment);
  if (!rate.ok()) return;
  const Result<double> noise = NoiseFor(RingAccountant(*rate), *rate, PlannedReleases(experiment),
                                        keys.epsilon(), keys.delta());
  if (noise.ok()) keys.set_noise_multiplier(*noise);
}

void CheckPrivacy(const v1::Experiment& experiment, const SourceMap& places,
                  std::vector<Problem>& problems) {
  if (!experiment.privacy().has_differential_privacy()) return;
  PrivacyChecks(experiment, places, problems).Run();
}

}  // namespace fedmeta
