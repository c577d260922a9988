#include "fedmeta/coordinator/privacy_summary.h"

namespace fedmeta {

std::optional<PrivacySummary> DescribePrivacy(const v1::Experiment& experiment,
                                              const std::optional<PrivacyAccount>& account,
                                              std::uint64_t releases) {
  if (!experiment.privacy().has_differential_privacy()) return std::nullopt;
  const v1::DifferentialPrivacy& keys = experiment.privacy().differential_privacy();
  PrivacySummary summary{.mode = keys.mode(),
                         .unit = account ? "client" : "record",
                         .delta = keys.delta(),
                         .clip = keys.clip(),
                         .noise_multiplier = keys.noise_multiplier()};
  if (!account) {
    summary.assumption =
        "the unit is a record; each site keeps its own account (fedmeta site ledger)";
    return summary;
  }
  summary.epsilon = account->Epsilon(releases);
  summary.releases = releases;
  if (account->budget()) {
    summary.budget_epsilon = account->budget()->epsilon();
    summary.budget_delta = account->budget()->delta();
  }
  summary.assumption = account->Assumption();
  return summary;
}

}  // namespace fedmeta
