#include "fedmeta/privacy/privacy_account.h"

#include <algorithm>

#include "fedmeta/core/text.h"
#include "fedmeta/privacy/secure_terms.h"

namespace fedmeta {
namespace {

std::vector<std::string> NoiseAssumptions(const v1::Experiment& experiment) {
  const v1::PrivacyTerms terms = PrivacyTermsOf(experiment.privacy().differential_privacy());
  if (experiment.privacy().secure_aggregation().mode() != "secure") {
    return {"the coordinator adds the noise and is trusted with each update before it"};
  }
  const v1::SecureTerms secure = SecureTermsOf(experiment);
  std::vector<std::string> assumptions;
  if (terms.mode() == "central") {
    assumptions.emplace_back(
        "the coordinator adds the noise and is trusted with the sum before it, but sees no single "
        "update");
  } else {
    const auto uncounted = [&](std::uint32_t members) {
      return std::to_string(UncountedNoise(terms, members)) + " of " + std::to_string(members);
    };
    std::string text =
        "each member of a sum adds a part of the noise, and nobody is trusted with the sum before "
        "it; that of " +
        uncounted(secure.minimum());
    if (secure.group_size() > secure.minimum()) text += " to " + uncounted(secure.group_size());
    assumptions.push_back(text +
                          " members is not counted on: what they know of it they may share with "
                          "the coordinator");
  }
  if (experiment.federation().cohort() > secure.group_size()) {
    assumptions.emplace_back(
        "a round is several sums, each with all of the noise; a client is in one of them, so that "
        "together they cost what one does");
  }
  return assumptions;
}

}  // namespace

Result<double> SamplingRate(const v1::Experiment& experiment) {
  if (experiment.privacy().differential_privacy().sampling() != "poisson") return 1.0;
  const v1::Partition& partition = experiment.data().partition();
  const std::int64_t training = std::int64_t{partition.clients()} - partition.holdout_clients() -
                                partition.validation_clients();
  const bool counted = experiment.data().has_source() && partition.scheme() != "column" &&
                       partition.scheme() != "sites";
  if (!counted || training < 1) {
    return Error(ErrorCode::kInvalidArgument,
                 "privacy.differential_privacy.sampling poisson needs a simulation whose number of "
                 "training clients stands in data.partition: set sampling to none");
  }
  return std::min(
      1.0, static_cast<double>(experiment.federation().cohort()) / static_cast<double>(training));
}

v1::PrivacyTerms PrivacyTermsOf(const v1::DifferentialPrivacy& keys) {
  v1::PrivacyTerms terms;
  terms.set_mode(keys.mode());
  terms.set_clip(keys.clip());
  terms.set_noise_multiplier(keys.noise_multiplier());
  terms.set_delta(keys.delta());
  terms.set_assumed_colluders(keys.assumed_colluders());
  terms.set_metric_share(keys.metric_share());
  return terms;
}

Result<std::optional<PrivacyAccount>> PrivacyAccount::Of(const v1::Experiment& experiment) {
  const v1::DifferentialPrivacy& keys = experiment.privacy().differential_privacy();
  if (!experiment.privacy().has_differential_privacy() || keys.mode() == "local") {
    return std::optional<PrivacyAccount>();
  }
  PrivacyAccount account;
  account.terms_.noise_multiplier = keys.noise_multiplier();
  FEDMETA_ASSIGN_OR_RETURN(account.terms_.sampling_rate, SamplingRate(experiment));
  account.delta_ = keys.delta();
  account.noise_assumptions_ = NoiseAssumptions(experiment);
  FEDMETA_RETURN_IF_ERROR(SpentBy(account.accountant(), account.terms_, 1, account.delta_));
  if (keys.has_budget()) {
    account.budget_ = keys.budget();
    if (!keys.budget().has_delta()) account.budget_->set_delta(keys.delta());
    FEDMETA_ASSIGN_OR_RETURN(account.affordable_,
                             ReleasesWithin(account.accountant(), account.terms_,
                                            account.budget_->epsilon(), account.budget_->delta()));
  }
  return std::optional(std::move(account));
}

double PrivacyAccount::Epsilon(std::uint64_t releases) const {
  // Of() has tried these very arguments.
  return SpentBy(accountant(), terms_, releases, delta_).value().epsilon;
}

std::string PrivacyAccount::Assumption() const {
  std::string text =
      "the unit is a client, with or without what it sends, in a list of participants that is "
      "public";
  for (const std::string& one : noise_assumptions_) text += "; " + one;
  if (terms_.sampling_rate < 1) {
    text += "; each client is assumed to be in a round by its own draw with probability " +
            FormatNumber(terms_.sampling_rate);
  }
  return text;
}

}  // namespace fedmeta
