#include "fedmeta/configs/robust_checks.h"

#include <cstdint>
#include <string>

#include "fedmeta/configs/plugin_keys.h"
#include "fedmeta/configs/schema.h"

namespace fedmeta {
namespace {

constexpr char kMode[] = "privacy.secure_aggregation.mode";
constexpr char kAggregation[] = "server.aggregation";

class RobustChecks {
 public:
  RobustChecks(const v1::Experiment& experiment, const SourceMap& places,
               std::vector<Problem>& problems)
      : experiment_(experiment),
        places_(places),
        problems_(problems),
        keys_(experiment.server().aggregation().settings()) {}

  void Run() {
    if (experiment_.has_simulated_attack()) CheckAttack();
    const std::string& mode = experiment_.privacy().secure_aggregation().mode();
    const std::string& rule = experiment_.server().aggregation().name();
    // What the binder has refused is not set: it would be reported again.
    const auto settings = Unpack(experiment_.server().aggregation().settings());
    if (rule.empty() || settings == nullptr || mode.empty()) return;
    const bool individual = SummaryOf(*settings->GetDescriptor()).individual_updates();
    if (!individual) {
      if (mode != "plain_robust") return;
      Report(kMode,
             "plain_robust needs an aggregation that looks at each update (median, "
             "trimmed_mean, krum, multi_krum, geometric_median, norm_bound), got " +
                 rule + ": nearest is mode plain");
      return;
    }
    if (mode == "plain") {
      Report(std::string(kAggregation) + ".name",
             rule + " looks at the update of each client, which sites have to allow: it needs " +
                 kMode + " plain_robust, got plain");
    }
    if (mode != "plain_robust") return;
    CheckReports(rule);
  }

 private:
  void Report(const std::string& path, const std::string& message) {
    problems_.push_back({places_.Find(path), path + " " + message});
  }

  /// Rounds of federation.minimum_cohort reports are committed, so that many have to do.
  void CheckReports(const std::string& rule) {
    const v1::Federation& federation = experiment_.federation();
    const std::uint64_t byzantine = keys_.Whole("byzantine").value_or(0);
    const std::uint64_t keep = keys_.Whole("keep").value_or(0);
    const std::uint64_t n = federation.minimum_cohort();
    if (n == 0) return;
    const bool krum = rule == "krum" || rule == "multi_krum";
    const std::uint64_t needed = 2 * byzantine + (krum ? 3 : 1);
    if (n < needed) {
      const std::string nearest = Nearest(needed);
      Report("federation.minimum_cohort",
             std::string(krum ? "must be >= 2 x byzantine + 3" : "must be > 2 x byzantine") +
                 " with " + kAggregation + " " + rule + ", got " + std::to_string(n) +
                 (krum ? " < " + std::to_string(needed) : " <= " + std::to_string(2 * byzantine)) +
                 ": nearest " +
                 (krum && n < 3 ? "is " + nearest
                                : "are " + nearest + " and byzantine " +
                                      std::to_string((n - (krum ? 3 : 1)) / 2)));
    } else if (keep > 0 && n < keep + byzantine + 2) {
      Report(std::string(kAggregation) + ".keep",
             "must be <= federation.minimum_cohort - byzantine - 2 = " +
                 std::to_string(n - byzantine - 2) + ", got " + std::to_string(keep) +
                 ": nearest are keep " + std::to_string(n - byzantine - 2) + " and " +
                 Nearest(keep + byzantine + 2));
    }
  }
  std::string Nearest(std::uint64_t needed) const {
    const bool all = needed > experiment_.federation().cohort();
    return std::string(all ? "cohort and " : "") + "minimum_cohort " + std::to_string(needed);
  }

  void CheckAttack() {
    const v1::SimulatedAttack& attack = experiment_.simulated_attack();
    const bool scales = attack.kind() == "scale" || attack.kind() == "sign_flip";
    if (scales && experiment_.privacy().secure_aggregation().mode() == "secure") {
      Report("simulated_attack.kind",
             attack.kind() +
                 " changes an update after the client has clipped it, which is not "
                 "simulated below secure aggregation: take label_flip, or " +
                 kMode + " plain");
    }
    if (attack.kind() == "label_flip" && experiment_.data().tasks().name() == "regression") {
      Report("simulated_attack.kind",
             "label_flip needs classes, data.tasks.name is regression: take scale or sign_flip");
    }
    const v1::Compression& compression = experiment_.federation().compression();
    if ((compression.has_bits() && compression.bits() < 32) ||
        (compression.has_fraction() && compression.fraction() < 1) || compression.rotation()) {
      Report("simulated_attack",
             "is not simulated with updates that federation.compression changes: remove one");
    }
  }

  const v1::Experiment& experiment_;
  const SourceMap& places_;
  std::vector<Problem>& problems_;
  const PluginKeys keys_;
};

}  // namespace

void CheckRobustAggregation(const v1::Experiment& experiment, const SourceMap& places,
                            std::vector<Problem>& problems) {
  RobustChecks(experiment, places, problems).Run();
}

}  // namespace fedmeta
